"""One build: from an image's name to its manifest.

Evaluate, realise, read the closure; nothing else runs in Nix. When evaluation
gives the outputs of an earlier build, its manifest is used again and nothing is
packed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import trio

from nixeryd.builder.assembly import assemble
from nixeryd.builder.layers import Layers
from nixeryd.builder.progress import Phase, Progress
from nixeryd.builder.sources import Source
from nixeryd.images import tar
from nixeryd.images.digests import Digest
from nixeryd.images.names import ImageName
from nixeryd.nix.closure import query_closure
from nixeryd.nix.evaluate import Evaluation, evaluate
from nixeryd.nix.process import Nix
from nixeryd.nix.realise import DerivationLost, realise
from nixeryd.nix.roots import build_roots
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index, StoredManifest

FORMAT = 1
"""Part of every build key: raise it when equal outputs give another manifest."""

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Build:
    """What was made, and whether it had been made before."""

    manifest: StoredManifest
    cached: bool


class Workshop:
    """Makes images; holds what every build needs."""

    def __init__(  # noqa: PLR0913  the composition root wires it once
        self,
        nix: Nix,
        blobs: Blobs,
        index: Index,
        *,
        gcroots: Path,
        compression: str,
        timeout: int,
        popularity: Mapping[str, int],
    ) -> None:
        self._nix = nix
        self._blobs = blobs
        self._index = index
        self._gcroots = gcroots
        self._timeout = timeout  # seconds per builder, 0 for none
        self._popularity = popularity
        self._settings = [FORMAT, tar.FORMAT, compression, sorted(popularity.items())]
        self._layers = Layers(blobs, index, compression)
        # An evaluation of nixpkgs takes a core and some 500 MB.
        self._evaluations = trio.CapacityLimiter(2)

    async def build(
        self, image: ImageName, source: Source, progress: Progress
    ) -> Build:
        """Make the image; raises `NixerydError`."""
        async with build_roots(self._gcroots) as roots:
            for _ in range(_ATTEMPTS - 1):
                try:
                    return await self._attempt(image, source, roots, progress)
                except DerivationLost:
                    # Nix roots what is built: a collection right after the
                    # evaluation takes the derivation. Evaluating writes it again.
                    continue
            return await self._attempt(image, source, roots, progress)

    async def _attempt(
        self, image: ImageName, source: Source, roots: Path, progress: Progress
    ) -> Build:
        evaluation = await self._evaluate(image, source, progress)
        key = self._key(image, evaluation)
        known = self._index.build(key)
        if known and self._is_whole(known):
            return Build(known, cached=True)
        await self._realise(evaluation, roots, progress)
        outputs = [out for package in evaluation.packages for out in package.outputs]
        closure = await query_closure(self._nix, outputs)
        progress.tell(Phase(phase="pack"))
        manifest = await assemble(
            image,
            evaluation.packages,
            closure,
            labels=await _labels(image, source),
            popularity=self._popularity,
            layers=self._layers,
            blobs=self._blobs,
            progress=progress,
        )
        self._index.add_build(key, manifest)
        return Build(manifest, cached=False)

    async def _evaluate(
        self, image: ImageName, source: Source, progress: Progress
    ) -> Evaluation:
        progress.tell(Phase(phase="evaluate"))
        async with self._evaluations:
            return await evaluate(self._nix, source.path, image.packages, image.system)

    async def _realise(
        self, evaluation: Evaluation, roots: Path, progress: Progress
    ) -> None:
        progress.tell(Phase(phase="realise"))
        await realise(
            self._nix,
            [package.installable for package in evaluation.packages],
            roots=roots,
            timeout=self._timeout,
            on_event=progress.tell_nix,
        )

    def _key(self, image: ImageName, evaluation: Evaluation) -> str:
        """Compute the key of all that a manifest depends on."""
        outputs = [[p.attribute, p.outputs] for p in evaluation.packages]
        parts = [self._settings, image.key, outputs]
        return Digest.of(json.dumps(parts).encode()).hex

    def _is_whole(self, manifest: StoredManifest) -> bool:
        wanted = (manifest.digest, *manifest.blobs)
        return all(self._blobs.size(digest) is not None for digest in wanted)


async def _labels(image: ImageName, source: Source) -> dict[str, str]:
    """Say what is in the image and where it comes from, in OCI's annotation keys.

    https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md
    """
    labels = {
        "org.opencontainers.image.title": "/".join(image.requested) or "shell",
        "org.opencontainers.image.source": source.name,
    }
    if revision := await source.revision():
        labels["org.opencontainers.image.revision"] = revision
    return labels
