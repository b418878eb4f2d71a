"""Sets up container engines and the user's service, and puts everything back.

What to change in which file is planned purely (`docker`, `podman`, `containerd`,
`buildkit`, `service`); `files` is the only place that writes. Imported by `doctor` and
`cli`.
"""
