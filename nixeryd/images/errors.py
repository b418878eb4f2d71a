"""Errors, and what a registry client is told of them.

One root, `NixerydError`, for everything that can go wrong and that a person
can act on. `RegistryError` carries a code of the OCI distribution spec; the
web layer is the only one that renders it.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes
"""

from enum import StrEnum
from typing import ClassVar

from nixeryd.images.logins import mask_all


class NixerydError(Exception):
    """Root of all errors that a person can act on; str() is one clear message.

    No secret that a URL may hold is in it (`mask`). One that `is_transient` may be over
    any moment, though its source is the same.
    """

    is_transient: ClassVar[bool] = False

    def __init__(self, *words: object) -> None:
        super().__init__(*map(mask_all, words))


class ErrorCode(StrEnum):
    """The spec's codes that this registry uses."""

    BLOB_UNKNOWN = "BLOB_UNKNOWN"
    DENIED = "DENIED"
    DIGEST_INVALID = "DIGEST_INVALID"
    MANIFEST_INVALID = "MANIFEST_INVALID"
    MANIFEST_UNKNOWN = "MANIFEST_UNKNOWN"
    NAME_INVALID = "NAME_INVALID"
    NAME_UNKNOWN = "NAME_UNKNOWN"
    TOOMANYREQUESTS = "TOOMANYREQUESTS"
    UNSUPPORTED = "UNSUPPORTED"


STATUS = {
    ErrorCode.BLOB_UNKNOWN: 404,
    ErrorCode.DENIED: 403,
    ErrorCode.DIGEST_INVALID: 400,
    ErrorCode.MANIFEST_INVALID: 400,
    ErrorCode.MANIFEST_UNKNOWN: 404,
    ErrorCode.NAME_INVALID: 400,
    ErrorCode.NAME_UNKNOWN: 404,
    ErrorCode.TOOMANYREQUESTS: 429,
    ErrorCode.UNSUPPORTED: 405,
}


class RegistryError(NixerydError):
    """An error with the spec's code; `status` is the HTTP status it goes with.

    `message` is for a person: clients print it, most of them nothing else.
    """

    def __init__(self, code: ErrorCode, message: str, detail: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message: str = mask_all(message)
        self.detail = mask_all(detail)

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code."""
        return STATUS[self.code]
