"""Read `WWW-Authenticate`: what a registry wants to see before it answers.

Law: a malformed header never raises; what was readable before the fault counts.
Nothing here knows whether a realm may be trusted (see `trust`) or how a token is
fetched.

https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
https://distribution.github.io/distribution/spec/auth/token/
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# RFC 9110, 5.6.2: token = 1*tchar
_TCHARS = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# auth-scheme, followed by SP, "," or the end
_SCHEME = re.compile(rf"({_TCHARS})(?=[ \t,]|$)")
# auth-param = token BWS "=" BWS ( token / quoted-string )
_PARAM = re.compile(
    rf'[ \t]*({_TCHARS})[ \t]*=[ \t]*(?:({_TCHARS})|"((?:[^"\\]|\\.)*)")'
)
# token68, which takes the place of the parameters (Negotiate and the like)
_TOKEN68 = re.compile(r"[ \t]*[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))")
_BLANKS = re.compile(r"[ \t,]*")
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token of `realm` is wanted, for `service` and `scope` if they are given."""

    realm: str
    service: str | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Basic:
    """A user name and a password are wanted."""

    realm: str


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A scheme that is not spoken here, or a Bearer that names no realm."""

    scheme: str


Challenge = Bearer | Basic | Unsupported


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """Read all challenges of all `WWW-Authenticate` fields, in their order."""
    return tuple(
        _challenge(scheme, parameters)
        for value in values
        for scheme, parameters in _split(value)
    )


def choose(challenges: Iterable[Challenge]) -> Bearer | Basic | None:
    """Choose the first Bearer, else the first Basic, else nothing."""
    usable = [c for c in challenges if not isinstance(c, Unsupported)]
    bearers = [c for c in usable if isinstance(c, Bearer)]
    return next(iter([*bearers, *usable]), None)


def _challenge(scheme: str, parameters: Mapping[str, str]) -> Challenge:
    realm = parameters.get("realm", "")
    match scheme.lower():
        case "bearer" if realm:
            return Bearer(realm, parameters.get("service"), parameters.get("scope"))
        case "basic":
            return Basic(realm)
        case other:
            return Unsupported(other)


def _split(value: str) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[str, dict[str, str]]] = []
    at = _skip_blanks(value, 0)
    while (scheme := _SCHEME.match(value, at)) is not None:
        parameters: dict[str, str] = {}
        found.append((scheme[1], parameters))
        at = scheme.end()
        if (opaque := _TOKEN68.match(value, at)) and not _PARAM.match(value, at):
            at = _skip_blanks(value, opaque.end())
            continue
        while (parameter := _PARAM.match(value, at)) is not None:
            name, plain, quoted = parameter.groups()
            text = plain if plain is not None else _ESCAPE.sub(r"\1", quoted)
            # "each parameter name MUST only occur once per challenge": the first wins
            parameters.setdefault(name.lower(), text)
            at = _skip_blanks(value, parameter.end())
        at = _skip_blanks(value, at)
    return found


def _skip_blanks(value: str, at: int) -> int:
    blanks = _BLANKS.match(value, at)
    return at if blanks is None else blanks.end()
