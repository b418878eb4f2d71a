"""Logins in URLs: not wanted, since a source's URL is told to whoever asks for images.

It is in status, logs and errors, and in the configuration that all users may read.
"""

import re

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
