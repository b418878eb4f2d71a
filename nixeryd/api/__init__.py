"""What the JSON API tells and is asked, as plain values.

Made by `control` from what the daemon knows, sent by `web`, described by its
OpenAPI document. Sizes are in bytes, times in seconds; a moment is in seconds
since the epoch.
"""
