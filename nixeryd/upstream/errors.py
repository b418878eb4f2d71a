"""What can go wrong with an upstream, as the rest of the daemon sees it.

Law: every message names the upstream; none holds a URL's path or query, a header, a
token or a password (a redirect's URL is itself a secret while its signature lasts).
Foreign exceptions stop at the border of this package.
"""

from nixeryd.images.errors import NixerydError
from nixeryd.images.freshness import Answer, Failed, Missing


class UpstreamError(NixerydError):
    """An upstream did not give what it was asked for.

    `transient`: asking again may help. `retry_after`: seconds that the upstream
    asks us to wait, if it said so.
    """

    def __init__(
        self,
        upstream: str,
        reason: str,
        *,
        transient: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(upstream, reason)
        self.upstream = upstream
        self.reason = reason
        self.transient = transient
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.upstream}: {self.reason}"


class UpstreamUnreachable(UpstreamError):  # noqa: N818  a state says more
    """No connection, no answer in time, or the connection broke."""


class UpstreamNotFound(UpstreamError):  # noqa: N818
    """404: the upstream has no such thing."""


class UpstreamDenied(UpstreamError):  # noqa: N818
    """401 or 403: private, or not there; many registries do not tell which."""


class UpstreamRateLimited(UpstreamError):  # noqa: N818
    """429: too many requests. `retry_after` in seconds, if the upstream said so."""


class UpstreamBroken(UpstreamError):  # noqa: N818
    """An answer of no use: a wrong digest, no manifest, 5xx, a bad redirect."""


def answer_of(error: UpstreamError) -> Answer:
    """Tell what an error means for a stored copy (see `images.freshness`)."""
    if isinstance(error, UpstreamNotFound | UpstreamDenied):
        return Missing(str(error))
    return Failed(str(error))
