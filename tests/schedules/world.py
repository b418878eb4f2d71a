"""A cache and all who write to it and take from it, without Nix and without a network.

The classes are the daemon's own. Images are so small that what they do to the cache is
all that they do.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trio

from nixeryd.builder.build import ImageBuilder, LayerLost
from nixeryd.builder.manifest import Layer, write_manifest
from nixeryd.builder.progress import Progress
from nixeryd.cache.eviction import Evictor
from nixeryd.images.descriptors import Image, read_descriptors
from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.images.manifests import (
    MANIFEST_TYPE,
    LayerDescriptor,
    render_config,
    render_manifest,
)
from nixeryd.images.names import NamePolicy, parse_image
from nixeryd.images.routes import Upstream as Route
from nixeryd.images.served_manifests import BlobFile
from nixeryd.layers import tar
from nixeryd.mirror.mirror import Mirror
from nixeryd.mirror.sources import Upstreams
from nixeryd.nix.evaluate import Evaluation
from nixeryd.runtime.offline import Offline
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index
from nixeryd.store.leases import Leases
from nixeryd.store.uses import Uses
from nixeryd.upstream import FetchedManifest, UpstreamUnreachable
from tests.schedules.scheduler import Scheduler

HOST = "hub.test"
LATER = 4e9  # no blob is too young to be evicted
_POLICY = NamePolicy(default_system="x86_64-linux")


def _entries(name: str) -> list[tar.Entry]:
    return [tar.Entry(name, tar.Kind.SYMLINK, 0o777, target="x")]


def _tar(name: str) -> bytes:
    return b"".join(map(tar.header, _entries(name))) + tar.TRAILER


_BUILT_SIZE = len(_tar("any"))
BUILT = {"a": ("base", "one"), "b": ("base", "two"), "c": ("two",)}
"""Images that are built, and their layers."""
MIRRORED = {"x": ("base", "far"), "y": ("far",), "z": ("one", "two")}
"""Images of an upstream, some with layers that are built here as well."""


def _image(name: str, layers: tuple[str, ...]) -> tuple[bytes, dict[Digest, bytes]]:
    bodies = [_tar(layer) for layer in layers]
    described = [
        LayerDescriptor(Digest.of(body), Digest.of(body), len(body), "type")
        for body in bodies
    ]
    config = render_config(
        architecture="amd64",
        env={},
        cmd=[name],
        labels={},
        diff_ids=[one.diff_id for one in described],
        history=["" for _ in described],
    )
    return render_manifest(config, described), {
        Digest.of(body): body for body in (config, *bodies)
    }


_UPSTREAM = {name: _image(name, layers) for name, layers in MIRRORED.items()}


class _Upstream:
    """A registry that has all of `MIRRORED`, each as its own repository."""

    name, url = HOST, "https://hub.test"
    failing = 0.0  # of its answers

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def behind(self, _: object) -> "_Upstream":
        return self

    async def get_manifest(self, repository: str, _: object) -> FetchedManifest:
        await self._answer("manifest")
        body, _blobs = _UPSTREAM[repository]
        return FetchedManifest(body, Digest.of(body), MANIFEST_TYPE)

    async def head_manifest(self, repository: str, _: object) -> Any:
        await self._answer("head")
        return SimpleNamespace(digest=Digest.of(_UPSTREAM[repository][0]))

    @asynccontextmanager
    async def open_blob(
        self, repository: str, digest: Digest, start: int
    ) -> AsyncIterator[Any]:
        await self._answer("blob")
        body = _UPSTREAM[repository][1][digest]

        class Stream:
            size = len(body)

            def __init__(self, scheduler: Scheduler) -> None:
                self.start = start
                self._scheduler = scheduler

            async def __aiter__(self) -> AsyncIterator[bytes]:
                await self._scheduler.pause("half a blob arrives")
                yield body[start : start + len(body) // 2]
                await self._scheduler.pause("a blob arrives")
                yield body[start + len(body) // 2 :]

        yield Stream(self._scheduler)

    async def _answer(self, what: str) -> None:
        await self._scheduler.pause(f"upstream: {what}")
        if self._scheduler.random.random() < self.failing:
            raise UpstreamUnreachable(HOST, "is away")


class _Roots:
    """Roots that nobody needs, as nothing is in a store."""

    def holds_all(self, _: object) -> bool:
        return True

    def keep(self, *_: object) -> None:
        pass


class _Workshop(ImageBuilder):
    """Builds without Nix: the name of an image says which layers it has."""

    async def _make(
        self, image: Any, _evaluation: Any, _progress: Any, hold: Any, way: Any
    ) -> Any:
        found = []
        for name in BUILT[image.requested[0]]:
            layer, _ = await way.layers.of_entries(_entries(name), hold.lease)
            found.append(Layer(layer, name))
        return await write_manifest(
            image,
            (),
            found,
            labels={},
            blobs=self._blobs,
            index=self._index,
            lease=hold.lease,
        )


@dataclass(frozen=True)
class _Nix:
    """What is told of a Nix; none is ever started."""

    fork: str = "Nix"
    version: tuple[int, ...] = (2, 8)
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    on_event: object = None


class _Source:
    name = "source"

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def ready(self) -> "_Source":
        return self

    async def state(self) -> Any:
        return SimpleNamespace(fingerprint="same", changes=0)

    async def revision(self) -> None:
        await self._scheduler.pause("revision")

    async def evaluate(self, *_: object) -> Evaluation:
        await self._scheduler.pause("evaluate")
        return Evaluation(())


_UNHEARD: Any = SimpleNamespace(begin=lambda _: None, end=lambda *_: None)


class World:
    """One cache, used anew for each schedule."""

    def __init__(
        self, scheduler: Scheduler, root: Path, blobs: Blobs, index: Index
    ) -> None:
        self._scheduler = scheduler
        self._root = root
        self._blobs = blobs
        self._index = index
        self._db = index.names._db
        self._seen = (-1, -1)
        self._upstream = _Upstream(scheduler)
        self._workshops = [self._workshop(stream=stream) for stream in (False, True)]
        self._evictor = Evictor(
            blobs,
            index,
            root / "index.sqlite",
            Uses(index, blobs.leases),
            cap=None,
            now=lambda: LATER,
        )

    async def prepare(self) -> None:
        """Leave places for the blobs that there can be only: looking takes time."""
        for name in BUILT:
            await self.build(name, stream=False)
        for name in MIRRORED:
            await self.pull(name)
        self._upstream.failing = 0.05
        for shard in (self._root / "blobs" / "sha256").iterdir():
            with suppress(OSError):
                shard.rmdir()

    def _workshop(self, *, stream: bool) -> ImageBuilder:
        nix: Any = _Nix()
        roots: Any = _Roots()
        return _Workshop(
            nix,
            self._blobs,
            self._index,
            roots,
            compression="none",
            stream=stream,
            timeout=0,
            popularity={},
        )

    def reset(self) -> None:
        """Forget everything."""
        with self._db:
            for table in _TABLES:
                self._db.execute(f"DELETE FROM {table}")
        for place in ("blobs", "staging"):
            for above, _, names in os.walk(self._root / place):
                for name in names:
                    Path(above, name).unlink()
        self._blobs.leases = Leases()
        self._seen = (-1, -1)

    # -- what there is to do

    async def build(self, name: str, *, stream: bool) -> None:
        """Build an image and tag it, as `Builder` does."""
        image = parse_image((name,), _POLICY)
        source: Any = _Source(self._scheduler)
        image_builder = self._workshops[stream]
        fingerprint = "same"
        known = await image_builder.recall(image, source, fingerprint)
        if known is None:
            try:
                built = await image_builder.build(
                    image, source, Progress(), _UNHEARD, self._root
                )
            except LayerLost:
                return
            known = built.manifest
        if self._index.tagged(image.key, "latest") != known.digest:
            self._index.set_tag(image.key, "latest", name, known.digest, 1.0)

    async def pull(self, name: str) -> None:
        """Pull an image of the upstream, as a client does."""
        route = Route(HOST, name)
        upstreams: Any = Upstreams({HOST: self._upstream}, "test")
        try:
            async with trio.open_nursery() as nursery:
                mirror = Mirror(
                    upstreams,
                    self._blobs,
                    self._index,
                    nursery,
                    ttl=0,
                    offline=Offline(has_network=lambda: True),
                    now=lambda: 1.0,
                )
                found = await mirror.manifest(route, "latest")
                image = read_descriptors(found.body, found.media_type)
                assert isinstance(image, Image)
                for blob in image.blobs:
                    await self._take(mirror, route, blob.digest)
        except* NixerydError:
            pass  # a client is told

    async def _take(self, mirror: Mirror, route: Route, digest: Digest) -> None:
        found = await mirror.blob(route, digest)
        if isinstance(found, BlobFile):
            return
        await self._scheduler.pause("headers are sent")
        async with found.open(range(found.size)) as stream:
            taken = bytearray()
            while part := await stream.arrive():
                taken += os.pread(stream.fd, len(part), part.start)
        assert Digest.of(bytes(taken)) == digest

    async def evict(self, cap: int) -> None:
        """Make room."""
        await self._evictor.evict(cap, spare_pulls=False)

    async def remove(self, number: int) -> None:
        """Remove a name."""
        if names := sorted(self._index.names.all(), key=str):
            await self._evictor.remove([names[number % len(names)]])

    async def discard(self, number: int) -> None:
        """Let a blob go that was found damaged, and what needs it."""
        await self._scheduler.pause("examine")
        if found := sorted({digest for digest, _ in self._blobs.scan()}):
            await self._scheduler.pause("it is damaged")
            await self._evictor.discard([found[number % len(found)]])

    # -- what must be so

    def check(self) -> None:
        """See that the index names nothing that is not there, if anything changed."""
        state = (self._db.total_changes, self._scheduler.changes)
        if state == self._seen or self._db.in_transaction:
            return
        self._seen = state
        for kind, digest, size in self._db.execute(_NAMED):
            found = self._size(digest)
            if found is None:
                raise AssertionError(f"{kind} {digest[:20]} is named and not there")
            assert size in {None, found}, f"{kind} {digest[:20]}: {found}, not {size}"
        lies = self._db.execute(_LIES).fetchall()
        assert not lies, lies

    def _size(self, digest: str) -> int | None:
        """Return what a blob has of bytes; a recipe makes as many as it should."""
        name = digest.removeprefix("sha256:")
        path = f"{self._root}/blobs/sha256/{name[:2]}/{name}"
        with suppress(FileNotFoundError):
            return os.stat(path).st_size  # noqa: PTH116  of many, and often
        return _BUILT_SIZE if os.access(f"{path}.recipe", os.F_OK) else None


_TABLES = (
    *("builds", "tags", "pins", "uses", "manifests", "layers", "digests"),
    *("mirrored_tags", "mirrored_manifests", "mirrored_lists"),
    *("closures", "tag_history", "origins", "readings"),
)
_NAMED = """
SELECT 'layer', digest, size FROM layers UNION ALL
SELECT 'blob', digest, size FROM digests WHERE size IS NOT NULL UNION ALL
SELECT 'manifest', digest, NULL FROM manifests UNION ALL
SELECT 'a need of ours', digests.digest, NULL FROM manifests, json_each(needs)
JOIN digests ON number = value
WHERE manifests.digest NOT IN (SELECT digest FROM mirrored_manifests)
"""
_LIES = """
SELECT 'build', manifest FROM builds
WHERE manifest NOT IN (SELECT digest FROM manifests) UNION ALL
SELECT 'tag', manifest FROM tags
WHERE manifest NOT IN (SELECT digest FROM manifests) UNION ALL
SELECT 'need', manifests.digest FROM manifests, json_each(needs)
WHERE value NOT IN (SELECT number FROM digests)
"""
