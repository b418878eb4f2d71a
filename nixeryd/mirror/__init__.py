"""The pull-through mirror: other registries' images, fetched once and then here.

Decides what is fresh, fetches while serving, verifies, fetches ahead. Imported by
`daemon` and `doctor`.
"""
