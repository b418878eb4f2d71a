"""Image configs, read: what a container of an image runs, and how its layers were made.

Law: whoever wrote a config may have written anything, so it is bounded, and each value
has its type or the whole is refused. Keys that no spec has are left out.

https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from nixeryd.images.errors import NixerydError

MAX_CONFIG: Final = 4 << 20
"""Bytes; as much as a manifest may have. Real ones have some ten thousand."""


class UnreadableConfig(NixerydError):  # noqa: N818  a state
    """What a config says cannot be told."""


class _Health(msgspec.Struct, omit_defaults=True):
    Test: list[str] | None = None
    Interval: int | None = None
    Timeout: int | None = None
    StartPeriod: int | None = None
    StartInterval: int | None = None
    Retries: int | None = None


class _Empty(msgspec.Struct):
    pass


class _Run(msgspec.Struct, omit_defaults=True):
    User: str | None = None
    Env: list[str] | None = None
    Entrypoint: list[str] | None = None
    Cmd: list[str] | None = None
    WorkingDir: str | None = None
    Labels: dict[str, str] | None = None
    ExposedPorts: dict[str, _Empty] | None = None
    Volumes: dict[str, _Empty] | None = None
    StopSignal: str | None = None
    # Docker's
    Healthcheck: _Health | None = None
    Shell: list[str] | None = None
    OnBuild: list[str] | None = None


class _Step(msgspec.Struct):
    created_by: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True):
    """A config, as far as it is shown."""

    os: str = ""
    architecture: str = ""
    config: _Run | None = None
    history: tuple[_Step, ...] | None = None

    @property
    def platform(self) -> str:
        """The operating system and the processor, in Go's words."""
        return f"{self.os}/{self.architecture}" if self.os or self.architecture else ""

    def run(self) -> Mapping[str, Any]:
        """Return what a container runs and with what, by the spec's names."""
        values: Mapping[str, Any] = msgspec.to_builtins(self.config or _Run())
        return values

    def made_by(self, layers: int) -> list[str]:
        """Tell for each layer how it was made; nothing if that is not told for all."""
        steps = [step for step in self.history or () if not step.empty_layer]
        if len(steps) != layers:
            return [""] * layers
        return [step.created_by for step in steps]


def read_config(body: bytes) -> ImageConfig:
    """Read a config; raises `UnreadableConfig`."""
    if len(body) > MAX_CONFIG:
        raise UnreadableConfig(f"it has more than {MAX_CONFIG} bytes")
    try:
        return msgspec.json.decode(body, type=ImageConfig)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableConfig(str(error)) from error
