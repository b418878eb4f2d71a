"""What a client is told of what the mirror does not have.

Law: what does not exist is the spec's 404, and what cannot be had now (offline, over
quota, upstream down) is 403 DENIED: clients go on to the registry itself at either,
and all but the oldest show the words of a 403, where of a 404 many say "not found".
"""

import re

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.images.freshness import Missing
from nixeryd.upstream import UpstreamError, answer_of

# https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#referrers-tag-schema
_STAND_IN = re.compile(r"sha256-[0-9a-f]{64}", re.ASCII)


def denied(what: object, reason: str) -> RegistryError:
    """Say that it cannot be had now."""
    return RegistryError(ErrorCode.DENIED, f"{what}: {reason}")


def is_missing(error: NixerydError) -> bool:
    """Return whether the upstream says that it is not there, or not for us."""
    return isinstance(error, UpstreamError) and isinstance(answer_of(error), Missing)


def refusal(what: object, error: NixerydError, missing: ErrorCode) -> RegistryError:
    """Say why it was not given; `missing` is the code for what is not there."""
    if is_missing(error):
        return RegistryError(missing, f"{what}: {error}")
    return denied(what, str(error))


def unavailable(what: object, reference: Digest | str, reason: str) -> RegistryError:
    """Say that a manifest cannot be had now.

    A tag that stands in for the referrers API is 404: containerd takes that for no
    referrers, and anything else for the end of the pull, also of an image that is here.
    """
    if isinstance(reference, str) and _STAND_IN.fullmatch(reference) is not None:
        return RegistryError(ErrorCode.MANIFEST_UNKNOWN, f"{what}: {reason}")
    return denied(what, reason)
