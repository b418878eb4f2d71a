"""Builds: those that run, those that ended lately, those that failed."""

from typing import Literal

import msgspec

State = Literal["running", "done", "failed"]


class Derivation(msgspec.Struct, frozen=True):
    """Nix builds this now; `phase` is the builder's (unpackPhase), if it told one."""

    drv: str
    name: str
    phase: str
    since: float


class Download(msgspec.Struct, frozen=True):
    """Nix downloads this store path now; `expected` 0 is unknown.

    Sizes are in bytes, unpacked; `rate` is in bytes per second, lately.
    """

    path: str
    name: str
    done: int
    expected: int
    rate: int = 0


class Count(msgspec.Struct, frozen=True):
    """So many are done, of so many as are known of."""

    done: int = 0
    expected: int = 0


class Transfer(msgspec.Struct, frozen=True):
    """What Nix downloads for a build in all, in bytes over the network.

    `rate` is in bytes per second, lately; `left` how many seconds the rest will take,
    null if nobody can tell.
    """

    done: int = 0
    expected: int = 0
    rate: int = 0
    left: float | None = None


class Build(msgspec.Struct, frozen=True):
    """A build, as far as it has come.

    `phase` is evaluate, realise or pack, the last one if it has ended. `waiting`
    names the clients that wait for it. `lines` is how long its log is by now.
    """

    id: str
    repository: str
    tag: str
    source: str
    state: State
    phase: str
    since: float
    seconds: float
    waiting: tuple[str, ...]
    derivations: tuple[Derivation, ...]
    downloads: tuple[Download, ...]
    builds: Count
    fetches: Count
    layers: Count
    packed: int  # bytes of the layers that are there
    lines: int
    transfer: Transfer = Transfer()
    message: str = ""  # why it failed
    digest: str = ""  # what came of it
    size: int = 0
    cached: bool = False

    @property
    def name(self) -> str:
        """The image's name as clients write it, less the registry's."""
        return self.repository if self.tag == "latest" else self.whole_name

    @property
    def whole_name(self) -> str:
        return f"{self.repository}:{self.tag}"


class Fetch(msgspec.Struct, frozen=True):
    """A blob that is being mirrored; `size` 0 is not known yet.

    `rate` is in bytes per second since it began, `readers` those who read along.
    """

    digest: str
    origin: str
    arrived: int
    size: int
    seconds: float
    rate: float
    readers: int


class LogPart(msgspec.Struct, frozen=True):
    """Lines of a log from number `start` on; `total` is how many there are by now.

    Where `start` is beyond what was asked for, the lines between are dropped.
    """

    start: int
    total: int
    lines: tuple[str, ...]


class Failure(msgspec.Struct, frozen=True):
    """A build that failed; kept across restarts."""

    id: str
    repository: str
    tag: str
    source: str
    since: float
    seconds: float
    phase: str
    package: str  # whose build failed, if it was one's
    message: str

    @property
    def name(self) -> str:
        return self.repository if self.tag == "latest" else self.whole_name

    @property
    def whole_name(self) -> str:
        return f"{self.repository}:{self.tag}"
