"""Whether pages of referrers may be believed, and where the next one is.

Law: the next page is of the same list at the same registry; what does not lead there is
no next page.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers
"""

import httpx

from nixeryd.images.referrers import UnreadableReferrers, read_referrers
from nixeryd.upstream.errors import UpstreamBroken
from nixeryd.upstream.tags import next_link
from nixeryd.upstream.trust import same_origin

# Bytes of all pages, and their number.
MAX_REFERRERS = 4 << 20
MAX_PAGES = 100


def read_page(upstream: str, body: bytes | None) -> tuple[bytes, ...]:
    """Read the descriptors of a page; None: body too large."""
    if body is None:
        raise UpstreamBroken(
            upstream, f"sent a list of referrers of more than {MAX_REFERRERS} bytes"
        )
    try:
        return read_referrers(body)
    except UnreadableReferrers as error:
        raise UpstreamBroken(upstream, f"sent {error}") from error


def next_page(url: str, link: str | None) -> str | None:
    """Find the URL of the page after the one at `url`."""
    target = next_link(link)
    try:
        here, there = httpx.URL(url), httpx.URL(url).join(target or "")
    except httpx.InvalidURL:
        return None
    if target is None or there.path != here.path or there == here:
        return None
    return str(there) if same_origin(url, str(there)) else None
