"""Secrets in URLs: a user and password before the host, or a token in the query.

The law: no URL that holds one is shown as it is, whatever setting or answer it came
from. Settings, status, logs and errors pass through `mask`, and what is no secret in
a query (`?ref=main`) goes with what is. A source's URL with a login is refused: git
and Nix would repeat it in places that are not ours.

https://www.rfc-editor.org/rfc/rfc3986#section-3
"""

import re
from typing import Any

# Over SSH a user's name is no secret; over HTTPS it may be a token.
_LOGIN = re.compile(
    r"(?:[a-z]+\+)?(?:https?://[^/@]*@|[a-z]+://[^/@:]*:[^/@]*@)", re.IGNORECASE
)


def refuse_login(url: str) -> None:
    """Raise ValueError if a URL holds a password, or what may be a token."""
    if _LOGIN.match(url):
        raise ValueError(
            "its URL holds a login, which whoever asks for an image could read: leave"
            " it to git's credential.helper, or to Nix's netrc-file"
        )


# What ends a URL in a sentence, in JSON, or in coloured text.
_REST = r"[^\s\"'<>\\\x00-\x1f"
_URL = re.compile(
    rf"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<login>{_REST}/?#]*@)?"
    rf"(?P<place>{_REST}?#]*)(?P<query>\?{_REST}#]*)?"
)


def mask(text: str) -> str:
    """Return a text in which each URL has *** for its login and for its query."""
    return _URL.sub(_hide, text) if "://" in text else text


def mask_all(value: Any) -> Any:
    """Mask the texts in a JSON value."""
    match value:
        case str():
            return mask(value)
        case list() | tuple():
            return type(value)(map(mask_all, value))
        case dict():
            return {name: mask_all(one) for name, one in value.items()}
        case _:
            return value


def _hide(url: re.Match[str]) -> str:
    login = "***@" if url["login"] else ""
    query = "?***" if url["query"] else ""
    return f"{url['scheme']}{login}{url['place']}{query}"
