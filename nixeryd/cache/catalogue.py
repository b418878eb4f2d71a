"""The catalogue: what is in the cache, and what is in an image.

Sizes are computed anew each time, in a thread: from the blobs that are there. A needed
blob whose size the index knows counts with that, as a digest has one size.
"""

from dataclasses import dataclass
from pathlib import Path

import trio

from nixeryd.api.images import (
    Image,
    ImageDetails,
    ImageList,
    Layer,
    Moved,
    TagBuild,
    Unnamed,
    Variant,
)
from nixeryd.cache.configs import MAX_CONFIG, ImageConfig, UnreadableConfig, read_config
from nixeryd.cache.sharing import Measure, measure
from nixeryd.images.descriptors import (
    DEEPEST,
    Descriptor,
    Image as ImageManifest,
    Platform,
    choose_manifest,
    read_descriptors,
)
from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.store import origins
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index, StoredManifest
from nixeryd.store.names import Kind, Name
from nixeryd.store.snapshot import read_holdings
from nixeryd.store.uses import Uses

MOST = 1000
"""Layers of an image, and images of an index, that are told; Docker takes 127."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The manifest of an image (of no index), and the blobs that it names."""

    stored: StoredManifest
    size: int
    blobs: tuple[Descriptor, ...]


class Catalogue:
    """Tells what is here; `platform` is what this machine runs."""

    def __init__(
        self,
        blobs: Blobs,
        index: Index,
        index_path: Path,
        uses: Uses,
        platform: Platform,
    ) -> None:
        self._blobs = blobs
        self._index = index
        self._index_path = index_path
        self._uses = uses
        self._platform = platform

    async def list(self, cap: int | None) -> ImageList:
        """List the images, last used first."""
        self._uses.flush()
        return await trio.to_thread.run_sync(self._list, cap)

    def _list(self, cap: int | None) -> ImageList:
        holdings = read_holdings(self._index_path)
        number = holdings.numbering.number
        blobs = holdings.listing(self._blobs)
        measures = measure(holdings.held, blobs, holdings.named)
        used = {manifest.number: manifest.used for manifest in holdings.held}
        images = [
            _image(name, measures.images[manifest], used[manifest])
            for name in holdings.names
            if (manifest := number(str(name.manifest))) in measures.images
        ]
        images.sort(key=lambda image: (-image.used, image.repository, image.tag))
        return ImageList(
            images=tuple(images),
            unnamed=Unnamed(measures.other_manifests, measures.other_size),
            size=sum(blob.size for blob in blobs.values()),
            cap=cap,
        )

    async def show(self, name: Name) -> ImageDetails:
        """Tell all of an image."""
        listed = (await self.list(None)).images
        image = next((one for one in listed if one.name == str(name)), None)
        if image is None:
            raise gone(str(name))
        whole = self.whole(name.manifest)
        variants = self._variants(name.manifest)
        history = tuple(
            Moved(str(digest), since)
            for digest, since in self._index.insides.history(name.kind, str(name))
        )
        if whole is None:
            media_type = self._stored(name.manifest)[0].media_type
            return ImageDetails(image, media_type, "", {}, (), variants, history)
        problem = ""
        try:
            config = await trio.to_thread.run_sync(self._config, whole)
        except UnreadableConfig as error:
            config = ImageConfig()
            problem = f"its config {whole.blobs[0].digest} cannot be read: {error}"
        return ImageDetails(
            image=image,
            media_type=whole.stored.media_type,
            platform=config.platform,
            config=config.run(),
            layers=self._layers(whole, config),
            variants=variants,
            history=history,
            builds=self._builds(name),
            left_out=max(0, len(whole.blobs) - 1 - MOST),
            problem=problem,
        )

    def _builds(self, name: Name) -> tuple[TagBuild, ...]:
        if name.kind is not Kind.NIX:
            return ()
        return tuple(
            _tag_build(one) for one in self._index.origins.of_tag(name.image, name.tag)
        )

    def whole(self, digest: Digest) -> Whole | None:
        """Find an image's manifest; of an index that of the image for this machine."""
        for _ in range(DEEPEST + 1):
            stored, body = self._stored(digest)
            named = read_descriptors(body, stored.media_type)
            if isinstance(named, ImageManifest):
                return Whole(stored, len(body), named.blobs)
            chosen = choose_manifest(named, self._platform)
            if chosen is None or self._index.manifest(chosen.digest) is None:
                return None
            digest = chosen.digest
        return None

    def _stored(self, digest: Digest) -> tuple[StoredManifest, bytes]:
        stored = self._index.manifest(digest)
        body = self._blobs.read(digest)
        if stored is None or body is None:
            raise gone(str(digest))
        return stored, body

    def _config(self, whole: Whole) -> ImageConfig:
        """Read an image's config; in a thread, as it may be of megabytes."""
        digest = whole.blobs[0].digest
        if (self._blobs.size(digest) or 0) > MAX_CONFIG:
            raise UnreadableConfig(f"it has more than {MAX_CONFIG} bytes")
        body = self._blobs.read(digest)
        return ImageConfig() if body is None else read_config(body)

    def _layers(self, whole: Whole, config: ImageConfig) -> tuple[Layer, ...]:
        layers = whole.blobs[1:]
        made_by = config.made_by(len(layers))
        return tuple(
            Layer(
                digest=str(layer.digest),
                size=layer.size,
                here=self._blobs.size(layer.digest) == layer.size,
                created_by=created_by,
                paths=self._index.layer_paths(layer.digest),
            )
            for layer, created_by in zip(layers[:MOST], made_by[:MOST], strict=True)
        )

    def _variants(self, digest: Digest) -> tuple[Variant, ...]:
        stored, body = self._stored(digest)
        named = read_descriptors(body, stored.media_type)
        if isinstance(named, ImageManifest):
            return ()
        return tuple(
            Variant(
                platform=str(one.platform or ""),
                digest=str(one.digest),
                here=self._index.manifest(one.digest) is not None,
            )
            for one in named.manifests[:MOST]
        )


def gone(what: str) -> RegistryError:
    """Say that something is not in the cache."""
    return RegistryError(
        ErrorCode.MANIFEST_UNKNOWN, f"{what} is not in the cache; see nixeryd list"
    )


def _tag_build(build: origins.TagBuild) -> TagBuild:
    revision = build.origin.revision or ""
    return TagBuild(
        digest=str(build.manifest),
        source=build.origin.source,
        revision=revision.removesuffix("-dirty"),
        dirty=revision.endswith("-dirty"),
        built=build.built,
    )


def _image(name: Name, measured: Measure, used: float) -> Image:
    return Image(
        kind=name.kind.value,
        repository=name.repository,
        tag=name.tag,
        digest=str(name.manifest),
        size=measured.size,
        unique=measured.unique,
        missing=measured.missing,
        used=used,
        since=name.since,
        pinned=name.pinned,
    )
