"""The HTTP side: the registry protocol, the JSON API, the page, and who may ask.

The only place that knows HTTP; sees the rest through `ports`, never Nix. Imported by
`daemon` and `doctor`.
"""
