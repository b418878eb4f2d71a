"""A build under way: what it is of, who waits for it, and whom it can serve."""

from dataclasses import dataclass, field

import trio

from nixeryd.builder.build import Build
from nixeryd.builder.progress import Progress
from nixeryd.builder.watched import Watched
from nixeryd.flight import Flight
from nixeryd.images.names import ImageName
from nixeryd.sources.source import Source


@dataclass(slots=True, eq=False)
class Run:
    """A build that runs now; `since` is in seconds on trio's clock.

    `seen` is the fingerprint of the source when its evaluation began, which
    nobody knows before `has_begun`. One that `is_queued` waits for its turn.
    """

    image: ImageName
    tag: str
    source: Source
    since: float
    progress: Progress = field(default_factory=Progress)
    flight: Flight[Build] = field(default_factory=Flight)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    is_queued: bool = True
    has_begun: bool = False
    seen: str | None = None
    watched: Watched | None = None

    def begin(self, fingerprint: str | None) -> None:
        """Note what the source is like, right before it is evaluated."""
        self.has_begun = True
        self.seen = fingerprint

    def serves(self, source: Source, fingerprint: str | None) -> bool:
        """Tell whether a pull that begins now may wait for this build."""
        if source != self.source:
            return False  # the tag means another commit by now
        if not self.has_begun:
            return True
        return fingerprint is not None and fingerprint == self.seen
