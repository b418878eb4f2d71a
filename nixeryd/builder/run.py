"""A build under way: what it is of, who waits for it, and whom it can serve."""

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from nixeryd.builder.build import Build
from nixeryd.builder.build_status import BuildStatus
from nixeryd.builder.progress import Progress
from nixeryd.images.names import ImageName
from nixeryd.runtime.flight import Flight
from nixeryd.sources.fingerprint.outside import Outside
from nixeryd.sources.source import Source


@dataclass(slots=True, eq=False)
class Run:
    """A build that runs now; `since` is in seconds on trio's clock.

    `seen` is the fingerprint of the source when its evaluation began, which
    nobody knows before `has_begun`; `read` is what that read outside of the source,
    once it is `evaluated`, or None if that may have changed meanwhile. One that
    `is_queued` waits for its turn. `wanted` are the derivations that are built; with
    `is_again` a person asked for what failed to be tried again.
    """

    image: ImageName
    tag: str
    source: Source
    since: float
    progress: Progress = field(default_factory=Progress)
    flight: Flight[Build] = field(default_factory=Flight)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    is_queued: bool = True
    is_again: bool = False
    has_begun: bool = False
    seen: str | None = None
    watched: BuildStatus | None = None
    evaluated: trio.Event = field(default_factory=trio.Event)
    read: Outside | None = None
    wanted: tuple[str, ...] = ()
    on_evaluated: Callable[["Run"], None] = lambda _: None

    def begin(self, fingerprint: str | None) -> None:
        """Note what the source is like, right before it is evaluated."""
        self.has_begun = True
        self.seen = fingerprint
        self.evaluated = trio.Event()

    def end(self, read: Outside | None, wanted: tuple[str, ...]) -> None:
        """Note what the evaluation read and gave; raises what failed of it before."""
        self.read = read
        self.wanted = wanted
        self.evaluated.set()
        self.on_evaluated(self)

    def may_serve(self, source: Source, fingerprint: str | None) -> bool:
        """Return whether a pull that begins now may wait for this build.

        That is so if what it read outside of the source is the same still, which it
        cannot tell before it is `evaluated`.
        """
        if source != self.source:
            return False  # the tag means another commit by now
        if not self.has_begun:
            return True
        return fingerprint is not None and fingerprint == self.seen
