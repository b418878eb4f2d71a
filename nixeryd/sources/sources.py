"""The configured sources, and what a tag means among them."""

from collections.abc import Mapping

from nixeryd.images.tags import read_tag
from nixeryd.sources.source import Configured, Source


class Sources:
    """The configured sources; one of them is the default."""

    def __init__(self, sources: Mapping[str, Configured], default: str) -> None:
        self._sources = dict(sources)
        self.default = self._sources[default]

    async def resolve(self, tag: str) -> Source:
        """Give the source in the state that a tag means now.

        Raises `RegistryError`: MANIFEST_UNKNOWN if there is no such source or ref.
        """
        meaning = read_tag(tag, sources=self._sources, default=self.default.name)
        source = self._sources[meaning.source]
        if meaning.ref is None:
            return await source.now()
        return await source.at(meaning.ref)
