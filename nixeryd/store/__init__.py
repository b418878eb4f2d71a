"""What is on disk: blobs under their digests, and an index of what they are."""
