"""What a source is to those who build from it.

`Configured` is what the user named; a tag turns it into a `Source`, a package set
in one state.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from nixeryd.images.names import ImageName
from nixeryd.nix.evaluate import Evaluation
from nixeryd.nix.packageset import PackageSet
from nixeryd.nix.process import Nix
from nixeryd.nix.reads import Reads


@dataclass(frozen=True, slots=True)
class State:
    """A source at a moment; equal states have nothing between them."""

    fingerprint: str | None
    changes: int


class Source(Protocol):
    """A package set in the state that a tag meant when it was looked up.

    Two are equal if a build of one is a build of the other.
    """

    @property
    def name(self) -> str: ...

    async def ready(self) -> "Source":
        """Fetch what is elsewhere, however long it takes; gives what is then here.

        A build begins with it. Raises `RegistryError`.
        """
        ...

    async def fingerprint(self) -> str | None:
        """Return a value that changes with what evaluation reads; None: cannot tell."""
        ...

    async def state(self) -> State:
        """Return the fingerprint, and how many changes were seen."""
        ...

    async def revision(self) -> str | None:
        """Return the commit, "-dirty" behind it if files differ; None if unknown."""
        ...

    async def evaluate(self, nix: Nix, image: ImageName, reads: Reads) -> Evaluation:
        """Evaluate the packages of an image; raises `RegistryError`."""
        ...


class Searchable(Source, Protocol):
    """A source that is a whole package set."""

    async def ready(self) -> "Searchable":
        """Fetch what is elsewhere; gives what is then here."""
        ...

    def open(self) -> AbstractAsyncContextManager[PackageSet]:
        """Return what Nix evaluates, while it is there; raises `RegistryError`."""
        ...


class Configured(Protocol):
    """A source as the user named it.

    For people: `place` says where it is, `watch` how changes are noticed, if there
    can be any.
    """

    @property
    def name(self) -> str: ...

    @property
    def place(self) -> str: ...

    @property
    def watch(self) -> str: ...

    async def now(self) -> Searchable:
        """Return the source as it is now, within a moment; raises `RegistryError`."""
        ...

    async def at(self, ref: str) -> Searchable:
        """Return it at a ref or commit; MANIFEST_UNKNOWN if there is none."""
        ...

    async def revision(self) -> str | None:
        """Return the commit it is at, without asking a network; None if unknown."""
        ...
