"""From store paths to the bytes of a layer: walking, tar, NAR, hashing, recipes.

Imported by `store`, `builder`, `cache` and what shows or runs thin images.
"""
