"""What to add to Docker's daemon.json. Pure.

`registry-mirrors` is for Docker Hub alone, and dockerd reloads it on SIGHUP. A
plain-HTTP mirror needs no `insecure-registries`, nor does any registry in
127.0.0.0/8; one that is reached under another name does.

https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file
"""

from nixeryd.setup import json_text

_BOM = "\ufeff"


def plan(text: str | None, mirror: str, insecure: str | None = None) -> str:
    """Return daemon.json with the mirror `host:port` first among the mirrors.

    `insecure` is a registry that dockerd shall speak plain HTTP with. What is
    there already is not added again. Raises `ParseError`.
    """
    text = text or ""
    bom = _BOM if text.startswith(_BOM) else ""
    text = text.removeprefix(_BOM)
    text = _with(text, "registry-mirrors", f"http://{mirror}")
    if insecure is not None:
        text = _with(text, "insecure-registries", insecure)
    return bom + text


def _with(text: str, key: str, item: str) -> str:
    data = json_text.parse(text) if text.strip() else {}
    there = data.get(key)
    if isinstance(there, list) and any(_same(one, item) for one in there):
        return text
    return json_text.put_first(text, key, item)


def _same(one: object, other: str) -> bool:
    if not isinstance(one, str):
        return False
    # localhost and a closing slash are other ways to say the same mirror.
    plain = one.rstrip("/").replace("//localhost:", "//127.0.0.1:")
    return plain == other.replace("//localhost:", "//127.0.0.1:")
