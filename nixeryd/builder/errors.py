"""What a client is told of a build that failed: 403 DENIED, which clients show."""

from pathlib import Path

from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError


class MachineError(NixerydError):
    """A build does not get what it needs of this machine: disk, file descriptors."""

    is_passing = True

    def __init__(self, error: OSError) -> None:
        super().__init__(f"this machine lets nixeryd build nothing now: {error}")


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
