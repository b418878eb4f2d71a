"""The configured sources, and what an image's name and tag mean among them."""

from collections.abc import Iterator, Mapping

from nixeryd.git.storage import Storage
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.names import ImageName
from nixeryd.sources.flake import LocalFlake, RemoteFlake
from nixeryd.sources.source import Configured, Source
from nixeryd.sources.store_path import StorePaths
from nixeryd.sources.tags import LATEST, read_tag


class Sources:
    """The configured sources; one of them is the default."""

    def __init__(
        self,
        sources: Mapping[str, Configured],
        default: str,
        storage: Storage,
    ) -> None:
        self.storage = storage
        self.change(sources, default)

    def change(self, sources: Mapping[str, Configured], default: str) -> None:
        """Have these from now on."""
        self._sources = dict(sources)
        self.default = self._sources[default]

    def __iter__(self) -> Iterator[Configured]:
        """Return all that are configured."""
        return iter(self._sources.values())

    async def resolve(self, image: ImageName, tag: str) -> Source:
        """Return the source of an image, in the state that a tag means now.

        Raises `RegistryError`: MANIFEST_UNKNOWN if there is no such source or ref.
        """
        if image.is_store:
            if tag != LATEST:
                raise RegistryError(
                    ErrorCode.MANIFEST_UNKNOWN,
                    f"there is no tag {tag!r} of a store path: it is what it is, so"
                    f" leave the tag out of {image.repository}",
                )
            return StorePaths()
        if image.flake is not None:
            flake = self._flake(image.flake)
            return await (flake.now() if tag == LATEST else flake.at(tag))
        meaning = read_tag(tag, sources=self._sources, default=self.default.name)
        source = self._sources[meaning.source]
        if meaning.ref is None:
            return await source.now()
        return await source.at(meaning.ref)

    def _flake(self, name: str) -> Configured:
        flakes = {
            source.name: source
            for source in self._sources.values()
            if isinstance(source, LocalFlake | RemoteFlake)
        }
        for known, flake in flakes.items():
            if known.lower() == name:  # a repository's name has no capitals
                return flake
        known = ", ".join(flakes) or "none"
        raise RegistryError(
            ErrorCode.MANIFEST_UNKNOWN,
            f"there is no flake {name} (known: {known}): configure it with"
            f' [sources.{name}] flake = "…"',
        )
