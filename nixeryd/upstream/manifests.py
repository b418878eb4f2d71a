"""Whether a manifest that came may be stored.

Law: what is kept is exactly the bytes that came, and only if their digest, their
size, their type and their form are right. Pure, but for being about an upstream.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-manifests
"""

import json
from dataclasses import dataclass, field

from nixeryd.images.digests import Digest
from nixeryd.images.errors import RegistryError
from nixeryd.upstream.errors import UpstreamBroken
from nixeryd.upstream.ratelimit import RateLimit

# "registries ... SHOULD ... at least 4 megabytes"; clients read no more either.
MAX_MANIFEST = 4 * 1024 * 1024

# In this order in `Accept`. Schema 1 is not in it.
MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = ", ".join(MEDIA_TYPES)


@dataclass(frozen=True, slots=True)
class ManifestHead:
    """What HEAD tells; None where the upstream does not say.

    `size` in bytes. `rate_limit` is what is left of our quota, as last heard.
    """

    digest: Digest | None
    media_type: str
    size: int | None
    rate_limit: RateLimit | None = None


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest, checked: `digest` is that of `body`."""

    body: bytes = field(repr=False)
    digest: Digest
    media_type: str


def check_media_type(upstream: str, content_type: str | None) -> str:
    """Read `Content-Type`; UpstreamBroken unless it is one that is mirrored."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type in MEDIA_TYPES:
        return media_type
    if "distribution.manifest.v1+" in media_type:
        raise UpstreamBroken(
            upstream, "has only a schema 1 manifest, which cannot be mirrored"
        )
    raise UpstreamBroken(
        upstream, f"sent {media_type[:80] or 'nothing'!r} where a manifest was expected"
    )


def check_head_digest(
    upstream: str, header: str | None, asked: Digest | str
) -> Digest | None:
    """Read `Docker-Content-Digest`; it must be what was asked, if a digest was."""
    try:
        digest = Digest.parse(header or "")
    except RegistryError:
        # absent, or another algorithm's: no use, no harm
        return None
    if isinstance(asked, Digest) and digest != asked:
        raise UpstreamBroken(upstream, f"has {digest} under the name of {asked}")
    return digest


def check_manifest(
    upstream: str,
    body: bytes | None,
    content_type: str | None,
    header: str | None,
    asked: Digest | str,
) -> FetchedManifest:
    """Check all of a manifest; `body` None: it was larger than MAX_MANIFEST.

    Raises:
        UpstreamBroken: naming what is wrong with it.

    """
    if body is None:
        raise UpstreamBroken(
            upstream, f"sent a manifest of more than {MAX_MANIFEST} bytes"
        )
    media_type = check_media_type(upstream, content_type)
    digest = Digest.of(body)
    expected = check_head_digest(upstream, header, asked)
    for wanted in (asked if isinstance(asked, Digest) else None, expected):
        if wanted is not None and wanted != digest:
            raise UpstreamBroken(
                upstream, f"sent a manifest with the digest {digest}, not {wanted}"
            )
    _check_form(upstream, body, media_type)
    return FetchedManifest(body, digest, media_type)


def _check_form(upstream: str, body: bytes, media_type: str) -> None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UpstreamBroken(upstream, "sent a manifest that is no JSON") from error
    if not isinstance(document, dict) or document.get("schemaVersion") != 2:  # noqa: PLR2004  the spec's
        raise UpstreamBroken(upstream, "sent a manifest that is not of schema 2")
    # "mediaType ... when used, this field MUST contain" what the header says
    if document.get("mediaType", media_type) != media_type:
        raise UpstreamBroken(
            upstream, "sent a manifest whose type is not what its header says"
        )
