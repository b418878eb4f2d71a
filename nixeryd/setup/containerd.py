"""What to add to containerd's hosts.toml files and config.toml. Pure.

containerd reads `<config_path>/<registry>/hosts.toml` anew for every pull and
asks the hosts in the order of the file, with `?ns=` of the registry. Docker's
containerd store reads the same files in its certs.d. That CRI looks there at
all is said in config.toml, whose key moved with the format's versions.

https://github.com/containerd/containerd/blob/main/docs/hosts.md
"""

import copy
from typing import Any

from nixeryd.setup import lines, toml_text
from nixeryd.setup.errors import SetupError

# By the file's `version`; no version is version 1.
_REGISTRY_TABLE = {
    1: ("plugins", "cri", "registry"),
    2: ("plugins", "io.containerd.grpc.v1.cri", "registry"),
    3: ("plugins", "io.containerd.cri.v1.images", "registry"),
}
_CRI = {"cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images"}
# A refused connection fails at once; this is for an address that swallows it.
_DIAL_TIMEOUT = "3s"


def plan_hosts(text: str | None, address: str, server: str) -> str:
    """Return a hosts.toml that asks `address` first and then `server`.

    Raises `SetupError`.
    """
    return lines.edit(text or "", lambda plain: _plan_hosts(plain, address, server))


def plan_config(text: str | None, config_path: str) -> str:
    """Return a config.toml whose CRI plugin reads hosts.toml below `config_path`.

    One that is set to another place stays; see `config_path_of`. A file with
    CRI switched off has no use for it and stays too. Raises `SetupError`.
    """
    return lines.edit(text or "", lambda plain: _plan_config(plain, config_path))


def config_path_of(text: str | None) -> str | None:
    """Return the directory of hosts.toml files that a config.toml names."""
    data = toml_text.parse((text or "").removeprefix("\ufeff"))
    value = toml_text.lookup(data, (*_registry_table(data), "config_path"))
    # Several directories are written like $PATH, and the first wins.
    return value.partition(":")[0] or None if isinstance(value, str) else None


def _plan_hosts(text: str, address: str, server: str) -> str:
    data = toml_text.parse(text)
    url = f"http://{address}"
    hosts = data.get("host", {})
    if not isinstance(hosts, dict):
        raise SetupError("host is not a table")
    if url in hosts:
        return text
    ours = {"capabilities": ["pull", "resolve"], "dial_timeout": _DIAL_TIMEOUT}
    block = (
        f"{toml_text.header(('host', url))}\n"
        '  capabilities = ["pull", "resolve"]\n'
        f'  dial_timeout = "{_DIAL_TIMEOUT}"\n'
    )
    if not text.strip():
        return f'server = "{server}"\n\n{block}{text}'
    expected = copy.deepcopy(data)
    expected["host"] = {url: ours, **hosts}
    new = _before_first_host(text, block)
    # Equal data may have another order, and the order is who is asked first.
    if not toml_text.checked(text, new, expected) or (
        next(iter(toml_text.parse(new)["host"])) != url
    ):
        raise SetupError(
            f"the host table cannot be added to; put it in by hand, first: {url}"
        )
    return new


def _before_first_host(text: str, block: str) -> str:
    rows = text.split("\n")
    for number, path, _ in toml_text.headers(text):
        if path[0] == "host":
            at = number
            # The comment above a table belongs to it.
            while at and rows[at - 1].lstrip().startswith("#"):
                at -= 1
            return "\n".join([*rows[:at], block, *rows[at:]])
    return toml_text.append(text, block)


def _plan_config(text: str, config_path: str) -> str:
    data = toml_text.parse(text)
    if _CRI & set(data.get("disabled_plugins", [])):
        return text
    table = _registry_table(data)
    registry = toml_text.lookup(data, table) or {}
    if registry.get("config_path"):
        return text
    _refuse_old_mirrors(registry)
    if not text.strip():
        # containerd 2 reads version 2 as well, and 1.x reads nothing newer.
        text = f"version = 2\n{text}"
        table = _REGISTRY_TABLE[2]
    return toml_text.set_value(text, (*table, "config_path"), config_path)


def _registry_table(data: dict[str, Any]) -> tuple[str, ...]:
    version = data.get("version", 1 if data else 2)
    if version not in _REGISTRY_TABLE:
        raise SetupError(
            f"version = {version!r} is not one that nixeryd knows (1 to 3)"
        )
    return _REGISTRY_TABLE[version]


def _refuse_old_mirrors(registry: dict[str, Any]) -> None:
    """Stop where containerd would refuse to start: it takes one way or the other."""
    configs = registry.get("configs") or {}
    has_tls = any("tls" in config for config in configs.values())
    if registry.get("mirrors") or has_tls:
        key = "registry.mirrors" if registry.get("mirrors") else "registry.configs tls"
        raise SetupError(
            f"{key} is set, and containerd does not start with config_path beside it;"
            " move it to hosts.toml first (containerd's docs/hosts.md says how)"
        )
