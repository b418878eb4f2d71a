"""What is on disk: blobs under their digests, and an index of what they are.

`publishing` is the one place that adds or removes a blob. Imported by `builder`,
`cache`, `mirror` and `daemon`.
"""
