"""Looks at the machine and says what is wrong, and what to type about it.

Nothing is written, and no daemon is needed. Imported by `cli` only.
"""
