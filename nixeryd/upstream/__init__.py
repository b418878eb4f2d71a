"""Other registries, as a client sees them; the only importer of httpx."""

from nixeryd.upstream.blobs import BlobStream
from nixeryd.upstream.certificates import Contexts, load_contexts
from nixeryd.upstream.client import Upstream, open_upstream
from nixeryd.upstream.credentials import (
    LoginSource,
    anonymous,
    docker_login,
    file_login,
    helper_login,
)
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
from nixeryd.upstream.outgoing import DIRECT, Outgoing, read_outgoing
from nixeryd.upstream.ratelimit import RateLimit
from nixeryd.upstream.retry_policy import RetryPolicy
from nixeryd.upstream.tags import TagsPage

__all__ = [
    "DIRECT",
    "BlobStream",
    "Contexts",
    "FetchedManifest",
    "LoginSource",
    "ManifestHead",
    "Outgoing",
    "RateLimit",
    "RetryPolicy",
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
    "file_login",
    "helper_login",
    "load_contexts",
    "open_upstream",
    "read_outgoing",
]
