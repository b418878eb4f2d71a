"""The pure core: names, references, digests, manifests, routes, errors.

Nothing here does I/O, reads a clock or knows trio: plain values in, frozen values out.
Imported by everybody, imports nothing of nixeryd.
"""
