"""The composition root: opens everything, owns the nursery, stops in order.

Its modules `registry`, `admin` and `cache_admin` are what `web` sees through its ports.
Imported by `cli` only.
"""
