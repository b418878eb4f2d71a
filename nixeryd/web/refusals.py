"""Refusals at which an engine stops, instead of asking the registry that it meant.

`docker pull shell/git` through a mirror is built here. If that fails, engines take a
403 or 404 for "ask Docker Hub", where anybody may own that name. So for such names they
get the one answer at which each was seen to end its pull:

- Docker's graph drivers and what uses containers/image (podman, buildah, CRI-O) say no
  `ns`: a manifest of no image, whose config has a type that nobody knows. They print
  that type, so it is what went wrong. Its digest is remembered, as Docker asks twice.
- containerd (Docker's containerd store and BuildKit, too) says `ns`: HEAD promises a
  manifest, and GET has the error.

Others get the plain error, and whoever reads the log is told. Never for a name that is
another registry's: that one is to be asked.

Seen in moby's `continueOnError` (daemon/internal/distribution/errors.go) and
containerd's `dockerResolver.Resolve` (core/remotes/docker/resolver.go).
"""

import json
import logging
import re

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.images.manifests import MANIFEST_TYPE
from nixeryd.images.served_manifests import Origin
from nixeryd.web.errors import describe
from nixeryd.web.exchange import Answer, Request
from nixeryd.web.headers import identity

_log = logging.getLogger(__name__)

_REMEMBERED = 100  # refusals
# What says so in its User-Agent goes on to the next registry at any error.
_BY_MANIFEST = re.compile(r"docker/|containers/|podman/|buildah/|cri-o/|libpod/")


class Refusals:
    """Makes refusals, and knows the last of them by their digests."""

    def __init__(self) -> None:
        self._manifests: dict[Digest, bytes] = {}
        self._configs: dict[Digest, str] = {}

    def find(self, digest: Digest) -> Answer | None:
        """Find the manifest of a refusal."""
        body = self._manifests.get(digest)
        return None if body is None else _answer(body)

    def raise_for(self, digest: Digest) -> None:
        """Raise DENIED for the config of such a manifest: it is the reason itself."""
        if (reason := self._configs.get(digest)) is not None:
            raise RegistryError(ErrorCode.DENIED, reason)

    def answer(self, request: Request, origin: Origin, error: Exception) -> Answer:
        """Answer a request for an image by its tag that failed with this error."""
        status, body, headers = describe(error)
        if origin.ns is not None:
            if request.method == "HEAD":
                return Answer(200, {"Content-Type": MANIFEST_TYPE}, b"")
            return Answer.of_bytes(status, body, headers)
        if _takes_manifest(request, origin):
            return _answer(self._remember(error))
        if request.method == "GET":
            _log.warning(
                "%s was asked for as an image of another registry: its client may take"
                " one of that name from there",
                request.path,
            )
        return Answer.of_bytes(status, body, headers)

    def late(self, request: Request, origin: Origin, error: Exception) -> bytes | None:
        """Make the manifest for a client that was promised one; None: break off."""
        return self._remember(error) if _takes_manifest(request, origin) else None

    def _remember(self, error: Exception) -> bytes:
        reason = str(error) if isinstance(error, NixerydError) else "see nixeryd's log"
        text = f"no image, as nixeryd cannot build it: {reason}"
        config = Digest.of(text.encode())
        body = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": {
                    "mediaType": text,
                    "digest": str(config),
                    "size": len(text.encode()),
                },
                "layers": [],
            }
        ).encode()
        self._manifests[Digest.of(body)] = body
        self._configs[config] = text
        for known in (self._manifests, self._configs):
            while len(known) > _REMEMBERED:
                del known[next(iter(known))]
        return body


def _takes_manifest(request: Request, origin: Origin) -> bool:
    agent = request.headers.get("user-agent", "")
    return origin.ns is None and _BY_MANIFEST.match(agent) is not None


def _answer(body: bytes) -> Answer:
    headers = identity(Digest.of(body))
    return Answer.of_bytes(200, body, headers, content_type=MANIFEST_TYPE)
