"""One build: from an image's name to its manifest.

Evaluate, realise, read the closure; nothing else runs in Nix. When evaluation
gives the outputs of an earlier build, its manifest is used again and nothing is
packed. What a source evaluated to is remembered under its fingerprint, with what was
read outside of it (`evaluation`).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nixeryd.builder.assembly import assemble
from nixeryd.builder.collisions import describe
from nixeryd.builder.evaluation import Evaluating, evaluate_image, holds
from nixeryd.builder.evaluation_slots import EvaluationSlots
from nixeryd.builder.layers import Layers
from nixeryd.builder.progress import LogLine, Phase, Progress
from nixeryd.builder.thin import assemble_thin
from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.images.names import ImageName
from nixeryd.layers import tar, thin
from nixeryd.layers.walking import StorePathLost
from nixeryd.nix import closurelist
from nixeryd.nix.closure import query_closure
from nixeryd.nix.evaluate import Evaluation
from nixeryd.nix.process import Nix, NixDaemonGone
from nixeryd.nix.realise import DerivationLost, realise, realised
from nixeryd.nix.roots import Roots, of_manifest
from nixeryd.runtime.locks import KeyedLocks
from nixeryd.sources.fingerprint.outside import FORMAT as READ_FORMAT, Outside
from nixeryd.sources.source import Source
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index, StoredManifest
from nixeryd.store.leases import Lease
from nixeryd.store.origins import Origin

FORMAT = 2
"""Part of every build key: raise it when equal outputs give another manifest."""

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Build:
    """What was made, from which source, and whether it had been made before."""

    manifest: StoredManifest
    origin: Origin
    cached: bool


class LayerLost(NixerydError):  # noqa: N818  what happened, not what it is
    """Of the layers that were packed one is gone, as it was found damaged."""

    is_transient = True

    def __init__(self) -> None:
        super().__init__("a layer was found damaged while it was needed: pull again")


_AGAIN = (DerivationLost, StorePathLost, LayerLost, NixDaemonGone)


@dataclass(frozen=True, slots=True)
class Hold:
    """What a build holds on to until it is done: GC roots, and leased layers."""

    roots: Path
    lease: Lease


class _Way:
    """How layers are cut and kept, and by source which paths it also depends on.

    A build keeps to the one that it began with.
    """

    def __init__(
        self,
        layers: Layers,
        popularity: Mapping[str, int],
        watched: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.layers = layers
        self.popularity = popularity
        self.watched = watched
        # The popularity of all of nixpkgs is a megabyte.
        numbers = sorted(popularity.items())
        self.key = _key(FORMAT, tar.FORMAT, layers.compression, numbers)


class ImageBuilder:
    """Makes images; holds what every build needs."""

    def __init__(  # noqa: PLR0913  the composition root wires it once
        self,
        nix: Nix,
        blobs: Blobs,
        index: Index,
        roots: Roots,
        *,
        compression: str,
        stream: bool = False,
        timeout: int,
        popularity: Mapping[str, int],
        watched: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """Take `watched`: by source, paths that it is told to depend on as well."""
        self._nix = nix
        self._blobs = blobs
        self._index = index
        self._roots = roots
        self.timeout = timeout  # seconds per builder, 0 for none
        self._way = _Way(
            Layers(blobs, index, compression, stream=stream), popularity, watched or {}
        )
        # nixpkgs reads variables even when it is given a configuration.
        variables = sorted(
            (name, value)
            for name, value in os.environ.items()
            if name.startswith(("NIXPKGS_", "NIX_PATH"))
        )
        self._surroundings = _key(
            nix.fork, nix.version, nix.options, variables, READ_FORMAT
        )
        self._locks = KeyedLocks()
        self._thin_layers = Layers(blobs, index, thin.COMPRESSION)
        self._evaluations = EvaluationSlots(2)

    def use_popularity(self, popularity: Mapping[str, int]) -> None:
        """Cut layers by these numbers from the next build on."""
        self._way = _Way(self._way.layers, popularity, self._way.watched)

    def use_layers(self, compression: str, *, stream: bool) -> None:
        """Keep layers in this way from the next build on."""
        layers = self._way.layers.changed(compression, stream=stream)
        self._way = _Way(layers, self._way.popularity, self._way.watched)

    def use_watched(self, watched: Mapping[str, tuple[str, ...]]) -> None:
        """Have sources depend on these paths from the next build on."""
        self._way = _Way(self._way.layers, self._way.popularity, watched)

    async def recall(
        self, image: ImageName, source: Source, fingerprint: str | None
    ) -> StoredManifest | None:
        """Return the manifest that this state of the source gave before, if it is here.

        No process is started and no file is read; those that are outside of the source
        are looked at.
        """
        if fingerprint is None:
            return None
        key = self._state_key(image, source, fingerprint, self._way)
        read = self._index.read_for(key)
        if read is None or not await self.holds(_decode(read)):
            return None
        known = self._index.build(key)  # now, as it may have gone meanwhile
        return known if known is not None and self._is_whole(image, known) else None

    async def holds(self, read: Outside) -> bool:
        """Return whether what was read outside of a source is the same still."""
        return await holds(read, self._nix)

    async def build(
        self,
        image: ImageName,
        source: Source,
        progress: Progress,
        evaluating: Evaluating,
        roots: Path,
    ) -> Build:
        """Make the image; raises `NixerydError`.

        What is built is rooted in the directory `roots`.
        """
        with self._blobs.leases.open() as lease:
            hold = Hold(roots, lease)
            for _ in range(_ATTEMPTS - 1):
                try:
                    return await self._attempt(
                        image, source, progress, evaluating, hold
                    )
                except _AGAIN:
                    # Nix roots what is built: a collection right after the
                    # evaluation takes the derivation. Evaluating writes it again.
                    # And what somebody deletes by force is built again; so is what
                    # is found to be damaged meanwhile, and removed. A Nix daemon
                    # that crashed is started again by who asks for it.
                    continue
            return await self._attempt(image, source, progress, evaluating, hold)

    async def _attempt(
        self,
        image: ImageName,
        source: Source,
        progress: Progress,
        evaluating: Evaluating,
        hold: Hold,
    ) -> Build:
        way = self._way
        progress.tell(Phase(phase="evaluate"))
        source = await source.ready()
        async with self._evaluations.one():
            watched = way.watched.get(source.name, ())
            found = await evaluate_image(
                self._nix, image, source, watched, progress, evaluating
            )
        evaluation = found.evaluation
        key = _key(way.key, image.key, _outputs(evaluation))
        # Several states of the source, or several sources, may want the same.
        async with self._locks.hold(key):
            known = self._index.build(key)
            is_cached = known is not None and self._is_whole(image, known)
            if known is None or not is_cached:
                known = await self._make(image, evaluation, progress, hold, way)
                if not self._is_whole(image, known):
                    raise LayerLost
                self._index.add_build(key, known)
            # No await until here: what was seen to be whole could be removed.
            hold.lease.add(known.digest)
            if found.fingerprint is not None and found.read is not None:
                state = self._state_key(image, source, found.fingerprint, way)
                self._index.add_build(state, known, found.read.encode())
            # Whoever waits for the build comes for it soon.
            self._blobs.leases.renew(known.digest)
            return Build(known, found.origin, is_cached)

    async def _make(
        self,
        image: ImageName,
        evaluation: Evaluation,
        progress: Progress,
        hold: Hold,
        way: _Way,
    ) -> StoredManifest:
        # Nothing here may differ between two machines: `store.origins` has what does.
        # https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md
        labels = {"org.opencontainers.image.title": image.title}
        await self._realise(evaluation, hold.roots, progress)
        packages = realised(evaluation.packages, hold.roots)
        outputs = [out for package in packages for out in package.outputs]
        closure = await query_closure(self._nix, outputs)
        progress.tell(Phase(phase="pack"))
        if image.is_thin:
            made, collisions = await assemble_thin(
                image,
                packages,
                closure,
                nix=self._nix,
                roots=hold.roots,
                labels=labels,
                layers=self._thin_layers,
                blobs=self._blobs,
                index=self._index,
                progress=progress,
                lease=hold.lease,
            )
            self._roots.keep(of_manifest(str(made.digest)), hold.roots)
        else:
            made, collisions = await assemble(
                image,
                packages,
                closure,
                labels=labels,
                popularity=way.popularity,
                layers=way.layers,
                blobs=self._blobs,
                index=self._index,
                progress=progress,
                lease=hold.lease,
            )
            if any(map(self._blobs.is_streamed, made.blobs)):
                self._roots.keep(of_manifest(str(made.digest)), hold.roots)
        named = {package.attribute: package.outputs for package in packages}
        warnings = tuple(describe(collisions, packages))
        for line in warnings:
            progress.tell(LogLine(line=line))
        self._index.insides.add(made.digest, closure, named, warnings)
        return made

    async def _realise(
        self, evaluation: Evaluation, roots: Path, progress: Progress
    ) -> None:
        progress.tell(Phase(phase="realise"))
        await realise(
            self._nix,
            [package.installable for package in evaluation.packages],
            roots=roots,
            timeout=self.timeout,
            on_event=progress.tell_nix,
        )

    def _state_key(
        self, image: ImageName, source: Source, fingerprint: str, way: _Way
    ) -> str:
        """Compute the key of all that evaluation and packing depend on."""
        return _state_key(
            way.key,
            self._surroundings,
            image.key,
            source.name,
            fingerprint,
            *way.watched.get(source.name, ()),
        )

    def _is_whole(self, image: ImageName, manifest: StoredManifest) -> bool:
        owner = of_manifest(str(manifest.digest))
        if image.is_thin and not self._roots.holds(owner, closurelist.ROOT):
            return False
        wanted = (manifest.digest, *manifest.blobs)
        others = [one for one in wanted if not self._blobs.has_whole_file(one)]
        return not others or (
            all(digest in self._blobs.recipes for digest in others)
            and self._roots.holds_all(owner)
        )


def _outputs(evaluation: Evaluation) -> list[object]:
    """List what is in an image; with its name, all that a manifest depends on."""
    return [[package.attribute, package.outputs] for package in evaluation.packages]


@lru_cache(maxsize=200)  # asked at every pull
def _state_key(*parts: str) -> str:
    return _key(*parts)


@lru_cache(maxsize=50)  # megabytes for a set of thousands of files
def _decode(read: bytes) -> Outside:
    return Outside.decode(read)


def _key(*parts: object) -> str:
    return Digest.of(json.dumps(parts).encode()).hex
