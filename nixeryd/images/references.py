"""What people call an image: NAME, NAME:TAG, NAME@DIGEST, with or without our address.

The address may be there since it is in every `docker run` line. Of NAME:TAG@DIGEST
the digest counts, as it does for Docker.
"""

from collections.abc import Collection

from nixeryd.images.digests import Digest
from nixeryd.images.names import parse_reference, parse_repository


def parse_name(
    text: str, own_hosts: Collection[str] = ()
) -> tuple[tuple[str, ...], Digest | str]:
    """Read a name; NAME_INVALID or DIGEST_INVALID if it is none."""
    host, slash, rest = text.partition("/")
    if slash and host in own_hosts:
        text = rest
    named, _, digest = text.partition("@")
    repository, _, tag = named.partition(":")
    return parse_repository(repository), parse_reference(digest or tag or "latest")
