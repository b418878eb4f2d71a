"""Asks Nix: evaluate, realise, closures, progress, GC roots, the demo set.

Imported by `sources`, `builder`, `daemon` and `doctor`.
"""
