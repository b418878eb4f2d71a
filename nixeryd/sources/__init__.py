"""Package sources: from configuration and a tag to a package set in one state.

Checkouts, git URLs, channels, flakes and store paths; `fingerprint` tells cheaply
whether one has changed. Imported by `builder`, `daemon` and `cli`.
"""
