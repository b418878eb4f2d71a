"""Asks git: refs, commits laid out as files, fetching.

Never changes a user's repository and runs nothing of its configuration. Imported by
`sources` and `daemon`.
"""
