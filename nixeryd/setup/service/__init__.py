"""Put the daemon under the user's service manager, and take it away again.

`files` writes and removes; `systemd` and `launchd` say what, and are pure; what
has to be told to the manager are commands, which the caller runs or shows.
"""
