"""One page of a repository's tags.

Law: names pass through in the upstream's order; only what could be a tag is believed.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-tags
"""

import json
import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from nixeryd.upstream.errors import UpstreamBroken

# Bytes: some registries list a hundred thousand tags in one page.
MAX_TAGS = 16 * 1024 * 1024

# RFC 8288: <target>; rel="next"
_NEXT = re.compile(r'<([^<>]*)>[^,<]*;\s*rel="?next"?', re.IGNORECASE)
# the spec's grammar of a tag
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TagsPage:
    """The tags of one page; `next_last` is the `last` of the next one, if there is."""

    names: tuple[str, ...]
    next_last: str | None = None


def read_tags(upstream: str, body: bytes | None, link: str | None) -> TagsPage:
    """Read the answer to `tags/list` and its `Link` header; None: body too large."""
    if body is None:
        raise UpstreamBroken(upstream, f"sent a list of more than {MAX_TAGS} bytes")
    try:
        listed = json.loads(body)["tags"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise UpstreamBroken(upstream, "sent a list of tags that is none") from error
    # "tags": null is how some registries say "none"
    if not isinstance(listed, list | None):
        raise UpstreamBroken(upstream, "sent a list of tags that is none")
    names = tuple(
        name for name in listed or () if isinstance(name, str) and _TAG.fullmatch(name)
    )
    return TagsPage(names, _next_last(link, names))


def next_link(link: str | None) -> str | None:
    """Find the target of a `Link` header whose relation is `next`."""
    following = _NEXT.search(link or "")
    return None if following is None else following[1]


def _next_last(link: str | None, names: tuple[str, ...]) -> str | None:
    following = next_link(link)
    if following is None or not names:
        return None
    try:
        query = parse_qs(urlsplit(following).query)
    except ValueError:
        query = {}
    # Some have a cursor of their own there; the spec's `last` works as well.
    return query.get("last", [names[-1]])[0]
