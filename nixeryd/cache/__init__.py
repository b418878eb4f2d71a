"""The cache as its owner sees it: what is in it, how large, what may go.

Eviction, verification, archives and what is inside an image. Imported by
`daemon` only.
"""
