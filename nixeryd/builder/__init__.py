"""From an image's name to its manifest: one build for all who ask, remembered.

Evaluates, realises and packs through `sources`, `nix` and `layers`. Imported by
`daemon` only.
"""
