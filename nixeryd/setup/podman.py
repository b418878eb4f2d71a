"""What to put in a registries.conf.d drop-in for podman, buildah and skopeo. Pure.

They send no `?ns=` but rewrite a prefix into a location, so the mirror of
ghcr.io is the path `host:port/ghcr.io`. Plain HTTP must be allowed by name, for
localhost too. Of files that define one prefix the last by name wins whole.

https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md
"""

import copy
from collections.abc import Iterable
from typing import Any

from nixeryd.setup import lines, toml_text
from nixeryd.setup.errors import SetupError


def plan(text: str | None, address: str, registries: Iterable[str]) -> str:
    """Return the file with `address` allowed and first mirror of each registry.

    Raises `SetupError`.
    """
    return lines.edit(text or "", lambda plain: _plan(plain, address, registries))


def prefixes(text: str) -> set[str]:
    """Return the prefixes that a registries.conf defines; raises `ParseError`."""
    data = toml_text.parse(text.removeprefix("\ufeff"))
    return {name for entry in _entries(data) if (name := _prefix(entry))}


def own_names(address: str) -> tuple[str, ...]:
    """Return the names under which people write this registry in an image name."""
    host, _, port = address.rpartition(":")
    return (address, f"localhost:{port}") if host == "127.0.0.1" else (address,)


def _plan(text: str, address: str, registries: Iterable[str]) -> str:
    data = toml_text.parse(text)
    if "registries" in data:
        raise SetupError(
            "this is the old format, version 1; podman reads no mirrors from it"
        )
    if not text.strip():
        text = "# Written by `nixeryd setup podman`; `--undo` takes it away.\n" + text
    for name in own_names(address):
        text = _allow(text, name)
    for name in registries:
        text = _mirror(text, name, f"{address}/{name}")
    return text


def _allow(text: str, name: str) -> str:
    data = toml_text.parse(text)
    index = _find(data, name)
    expected = copy.deepcopy(data)
    if index is None:
        block = f'[[registry]]\nlocation = "{name}"\ninsecure = true\n'
        _add(expected, {"location": name, "insecure": True})
        return _sure(text, toml_text.append(text, block), expected, name)
    if "insecure" in data["registry"][index]:
        return text  # The user's word, whichever it is.
    expected["registry"][index]["insecure"] = True
    new = _insert_in(text, index, "insecure = true", at_end=False)
    return _sure(text, new, expected, name)


def _mirror(text: str, name: str, location: str) -> str:
    data = toml_text.parse(text)
    index = _find(data, name)
    expected = copy.deepcopy(data)
    mirror = {"location": location, "insecure": True}
    block = f'[[registry.mirror]]\nlocation = "{location}"\ninsecure = true\n'
    if index is None:
        entry = f'[[registry]]\nprefix = "{name}"\nlocation = "{name}"\n\n{block}'
        _add(expected, {"prefix": name, "location": name, "mirror": [mirror]})
        return _sure(text, toml_text.append(text, entry), expected, name)
    there = data["registry"][index].get("mirror", [])
    if any(one.get("location") == location for one in there):
        return text
    expected["registry"][index]["mirror"] = [mirror, *there]
    return _sure(text, _insert_in(text, index, block, at_end=True), expected, name)


def _insert_in(text: str, index: int, block: str, *, at_end: bool) -> str:
    """Insert right under the header of an entry, or after the entry's own keys."""
    rows = text.split("\n")
    found = list(toml_text.headers(text))
    starts = [n for n, path, array in found if array and path == ("registry",)]
    if index >= len(starts):
        return text  # Written some other way; the check will tell.
    at = starts[index] + 1
    if not at_end:
        return "\n".join([*rows[:at], block, *rows[at:]])
    stop = next((n for n, _, _ in found if n >= at), len(rows))
    end = stop
    while end > at and (not rows[end - 1].strip() or rows[end - 1].lstrip()[0] == "#"):
        end -= 1
    # A comment right under a key is about it, unless it is right above a header.
    below = end
    while below < stop and rows[below].strip():
        below += 1
    end = below if below < stop or stop == len(rows) else end
    return "\n".join([*rows[:end], "", *block.split("\n")[:-1], *rows[end:]])


def _sure(old: str, new: str, expected: dict[str, Any], name: str) -> str:
    if not toml_text.checked(old, new, expected):
        raise SetupError(f"{name} is set up in a way that nixeryd cannot add to")
    return new


def _add(data: dict[str, Any], entry: dict[str, Any]) -> None:
    data.setdefault("registry", []).append(entry)


def _find(data: dict[str, Any], name: str) -> int | None:
    entries = _entries(data)
    return next((n for n, entry in enumerate(entries) if _prefix(entry) == name), None)


def _entries(data: dict[str, Any]) -> list[dict[str, Any]]:
    entries = data.get("registry", [])
    if not isinstance(entries, list):
        raise SetupError("registry is not a list of tables")
    return entries


def _prefix(entry: dict[str, Any]) -> str | None:
    value = entry.get("prefix") or entry.get("location")
    return value if isinstance(value, str) else None
