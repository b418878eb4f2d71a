"""What a client is told of a build that failed: 403 DENIED, which clients show."""

from pathlib import Path

from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.images.names import ImageName
from nixeryd.sources.tags import LATEST

_HUB_COMPONENTS = 2  # library/nginx, owner/app


class MachineError(NixerydError):
    """A build does not get what it needs of this machine: disk, file descriptors."""

    is_transient = True

    def __init__(self, error: OSError) -> None:
        super().__init__(f"this machine lets nixeryd build nothing now: {error}")


def with_hub_hint(error: RegistryError, image: ImageName, tag: str) -> RegistryError:
    """Return an error that names Docker Hub's image if nothing nearer may be meant.

    Who types `nginx:1` may know it from there, where it needs no registry before it.
    """
    components = image.repository.split("/")
    if (
        error.code is not ErrorCode.MANIFEST_UNKNOWN
        or "did you mean" in error.message
        or len(components) > _HUB_COMPONENTS
        or list(image.requested) != sorted(components)
    ):
        return error
    name = "/".join(components if len(components) > 1 else ("library", *components))
    suffix = "" if tag == LATEST else f":{tag}"
    message = f"{error.message}\nDocker Hub's image is docker.io/{name}{suffix}"
    return RegistryError(error.code, message, error.detail)


def as_registry_error(error: NixerydError, log: Path | None = None) -> RegistryError:
    """Say it as clients show it; with the place of the build's log."""
    if isinstance(error, RegistryError):
        if error.code is not ErrorCode.DENIED:
            return error
        message = error.message
    else:
        message = str(error)
    if log is not None:
        message += f"\nLog: {log}"
    return RegistryError(ErrorCode.DENIED, message)
