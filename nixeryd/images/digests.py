"""Digests: `sha256:` and 64 hex digits, or an error.

https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from nixeryd.images.errors import ErrorCode, RegistryError

_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ALGORITHM = "sha256:"


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A sha256 digest. `str()` gives the spec's form, `hex` the digits alone."""

    hex: str

    def __post_init__(self) -> None:
        if _HEX.fullmatch(self.hex) is None:
            raise RegistryError(
                ErrorCode.DIGEST_INVALID,
                f"{self.hex[:80]!r} is not 64 lower-case hex digits",
            )

    def __str__(self) -> str:
        return _ALGORITHM + self.hex

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `sha256:…`; anything else is DIGEST_INVALID."""
        if not text.startswith(_ALGORITHM):
            raise RegistryError(
                ErrorCode.DIGEST_INVALID,
                f"{text[:80]!r} is no sha256 digest: expected sha256:<64 hex digits>",
            )
        return cls(text.removeprefix(_ALGORITHM))

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Compute the digest of these bytes."""
        return cls(hashlib.sha256(data).hexdigest())
