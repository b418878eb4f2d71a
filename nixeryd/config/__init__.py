"""Settings, where each was set, and the directories and files that they name.

Imported by everything above `api`.
"""
