"""What to add to buildkitd.toml. Pure.

Mirrors are hosts there, not URLs, and are asked with `?ns=` of the registry, so
that one address serves all; that it speaks plain HTTP is said in a table of its
own name.

https://github.com/moby/buildkit/blob/master/docs/buildkitd.toml.md
"""

from collections.abc import Iterable

from nixeryd.setup import lines, toml_text


def plan(text: str | None, mirror: str, registries: Iterable[str]) -> str:
    """Return buildkitd.toml with the mirror `host:port` first for each registry.

    Raises `SetupError`.
    """
    return lines.edit(text or "", lambda plain: _plan(plain, mirror, registries))


def _plan(text: str, mirror: str, registries: Iterable[str]) -> str:
    for name in registries:
        path = ("registry", name, "mirrors")
        there = toml_text.lookup(toml_text.parse(text), path)
        if not isinstance(there, list) or mirror not in there:
            text = toml_text.put_first(text, path, mirror)
    plain_http = ("registry", mirror, "http")
    if toml_text.lookup(toml_text.parse(text), plain_http) is not True:
        text = toml_text.set_value(text, plain_http, value=True)
    return text
