"""The pure core: names, routes, closures, layers, tar, manifests.

Nothing here does I/O, reads a clock or knows trio: plain values in, frozen
values and plans out. Import from the modules; this package re-exports nothing.
"""
