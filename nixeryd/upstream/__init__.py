"""Other registries, as a client sees them. The only importer of httpx."""

from nixeryd.upstream.blobs import BlobStream
from nixeryd.upstream.client import Upstream, open_upstream
from nixeryd.upstream.credentials import LoginSource, anonymous, docker_login
from nixeryd.upstream.errors import (
    UpstreamBroken,
    UpstreamDenied,
    UpstreamError,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamUnreachable,
    answer_of,
)
from nixeryd.upstream.manifests import FetchedManifest, ManifestHead
from nixeryd.upstream.pace import Pace
from nixeryd.upstream.ratelimit import RateLimit
from nixeryd.upstream.tags import TagsPage

__all__ = [
    "BlobStream",
    "FetchedManifest",
    "LoginSource",
    "ManifestHead",
    "Pace",
    "RateLimit",
    "TagsPage",
    "Upstream",
    "UpstreamBroken",
    "UpstreamDenied",
    "UpstreamError",
    "UpstreamNotFound",
    "UpstreamRateLimited",
    "UpstreamUnreachable",
    "anonymous",
    "answer_of",
    "docker_login",
    "open_upstream",
]
