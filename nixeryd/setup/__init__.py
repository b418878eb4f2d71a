"""Set up container engines to pull from nixeryd, and put everything back.

What to change in which file is planned purely (`docker`, `podman`, `containerd`,
`buildkit` on top of `json_text` and `toml_text`): text in, text out. `engines`
looks at the machine, `files` reads, writes, keeps backups and undoes.
"""
