"""When a mirrored tag may be served, must be checked, or has to be fetched.

Law: a digest never goes stale; a tag is checked once per TTL; an upstream that
*fails* never takes away what is here, an upstream that *answers* always counts.
"Gone" (404) and "private" (401, 403) are answers: the tag is no longer served, while
its manifest stays for those who ask by digest.

Times are seconds since the epoch, handed in: no clock here. What fetches, stores and
renders is elsewhere.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#warnings
"""

from dataclasses import dataclass, replace
from typing import assert_never

from nixeryd.images.digests import Digest


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one tag of one upstream.

    `checked` is when the upstream last answered for it; `gone` tells that it then
    said that the tag is not there, or not for us.
    """

    digest: Digest
    checked: float
    gone: bool = False


# -- before the upstream is asked


@dataclass(frozen=True, slots=True)
class Serve:
    """Serve the stored manifest. `warning` is for the user; `age` in whole seconds."""

    digest: Digest
    age: int
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Revalidate:
    """Ask the upstream by HEAD whether the tag still is at this entry's digest."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get the manifest: nothing that could be served is here.

    `digest` is what the upstream said the tag is at, if it said so.
    """

    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class Miss:
    """Answer 404: the upstream said lately that there is no such thing."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Answer 403: it cannot be had now, and there is nothing to serve instead."""

    reason: str


Decision = Serve | Revalidate | Fetch | Miss | Unavailable

_OFFLINE = Unavailable("nixeryd is offline, and this was never pulled before")


def decide(entry: Entry | None, now: float, ttl: float, *, offline: bool) -> Decision:
    """Decide what a request for a tag needs. `ttl` in seconds."""
    if entry is None:
        return _OFFLINE if offline else Fetch()
    # A check in the future (the clock was set back) proves nothing.
    fresh = 0 <= now - entry.checked < ttl
    if entry.gone:
        if fresh or offline:
            return Miss("the upstream said that it is gone or private")
        return Fetch()
    if fresh:
        return Serve(entry.digest, _age(entry, now))
    if offline:
        return _serve_stale(entry, now, "nixeryd is offline")
    return Revalidate(entry)


def decide_by_digest(digest: Digest, *, stored: bool, offline: bool) -> Decision:
    """Decide what a request by digest needs: what is stored is right for ever."""
    if stored:
        return Serve(digest, age=0)
    return _OFFLINE if offline else Fetch(digest)


# -- after the upstream was asked


@dataclass(frozen=True, slots=True)
class Current:
    """The upstream says that the tag is at `digest` (None: it did not say)."""

    digest: Digest | None


@dataclass(frozen=True, slots=True)
class Missing:
    """The upstream says 404, 401 or 403: gone, or not for us."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The upstream gave no usable answer: unreachable, too slow, 429, 5xx, nonsense."""

    reason: str


Answer = Current | Missing | Failed


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Store `entry`, serve what is stored."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Gone:
    """Store `entry` (if there is one), answer 404; keep the manifest itself."""

    entry: Entry | None
    reason: str


Outcome = Confirmed | Fetch | Gone | Serve | Unavailable


def after(entry: Entry | None, answer: Answer, now: float) -> Outcome:
    """Decide what follows from the upstream's answer.

    The same rules hold for a HEAD that revalidates and for a GET that failed.
    """
    match answer:
        case Current(digest):
            if entry is not None and digest == entry.digest:
                return Confirmed(replace(entry, checked=now, gone=False))
            return Fetch(digest)
        case Missing(reason):
            if entry is None:
                return Gone(None, reason)
            return Gone(replace(entry, checked=now, gone=True), reason)
        case Failed(reason):
            if entry is None or entry.gone:
                return Unavailable(reason)
            return _serve_stale(entry, now, reason)
        case _:
            assert_never(answer)


def render_warning(text: str) -> str:
    """Render the value of a `Warning` header, as the spec has it: 299, agent `-`.

    At most 4096 bytes, printable ASCII only, as a quoted-string.
    """
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)
    escaped = plain[:2000].replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'


def _serve_stale(entry: Entry, now: float, reason: str) -> Serve:
    age = _age(entry, now)
    warning = f"served from the mirror as it was {_ago(age)}: {reason}"
    return Serve(entry.digest, age, warning)


def _age(entry: Entry, now: float) -> int:
    return max(0, int(now - entry.checked))


def _ago(seconds: int) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "less than a minute ago"
