"""Image configs and manifests, rendered to canonical bytes.

Sorted keys, no white space, one date for all: the same image has the same
digest on any machine. OCI media types throughout. Knows nothing of where blobs
are or how they came to be.

https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md
https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nixeryd.images.digests import Digest

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"
_LAYER_TYPES: Final = {
    "none": _LAYER_TYPE,
    "gzip": _LAYER_TYPE + "+gzip",
    "zstd": _LAYER_TYPE + "+zstd",
}

# The mtime of everything in a Nix store.
CREATED: Final = "1970-01-01T00:00:01Z"

# The forest puts the packages' bin at /bin.
_PATH: Final = "/bin:/usr/bin:/sbin:/usr/sbin"
CERTIFICATES: Final = "etc/ssl/certs/ca-bundle.crt"
"""Where nixpkgs' cacert has the certificates, and so the image, below its root."""


@dataclass(frozen=True, slots=True)
class LayerDescriptor:
    """A layer as a manifest names it.

    `digest` and `size` (bytes) are the blob's, `diff_id` the uncompressed tar's.
    `annotations` are keys and values, and the manifest's business, not the blob's.
    """

    digest: Digest
    diff_id: Digest
    size: int
    media_type: str
    annotations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Programs:
    """What a package has to run: its `meta.mainProgram`, and the names in its bin/."""

    main: str | None
    names: tuple[str, ...]


def default_environment(*, has_certificates: bool) -> dict[str, str]:
    """Return the variables of an image; OpenSSL and many others read SSL_CERT_FILE."""
    variables = {"PATH": _PATH}
    if has_certificates:
        variables["SSL_CERT_FILE"] = f"/{CERTIFICATES}"
    return variables


def layer_media_type(compression: str) -> str:
    """Return the media type for `none`, `gzip` or `zstd`; ValueError for others."""
    try:
        return _LAYER_TYPES[compression]
    except KeyError:
        raise ValueError(
            f"unknown compression {compression!r}: one of {', '.join(_LAYER_TYPES)}"
        ) from None


def default_command(
    packages: Sequence[Programs], *, is_shell: bool
) -> tuple[str, ...] | None:
    """Say what `docker run IMAGE` starts, if that is plain from what was named.

    A shell in a shell image; else the only package's main program, or its only
    one. `packages` are the requested ones, without those always added.
    """
    if is_shell:
        return ("bash",)
    if len(packages) != 1:
        return None
    (package,) = packages
    if package.main in package.names:
        return (package.main,)
    # Nixpkgs' wrappers leave the real program beside theirs, as .NAME-wrapped.
    visible = [name for name in package.names if not name.startswith(".")]
    return (visible[0],) if len(visible) == 1 else None


def describe_layer(paths: Sequence[str]) -> str:
    """Say in one line which store paths a layer holds, for `docker history`."""
    names = [path.rpartition("/")[2].partition("-")[2] for path in paths]
    shown = 3
    if len(names) <= shown + 1:
        return "nixeryd: " + ", ".join(names)
    return f"nixeryd: {', '.join(names[:shown])} and {len(names) - shown} more"


def render_config(  # noqa: PLR0913  the config's fields, by name
    *,
    architecture: str,
    env: Mapping[str, str],
    cmd: Sequence[str] | None,
    labels: Mapping[str, str],
    diff_ids: Sequence[Digest],
    history: Sequence[str],
) -> bytes:
    """Render an image config.

    `architecture` is OCI's (`amd64`); `history` says for each layer, from the
    lowest up, how it was made. ValueError if it does not fit `diff_ids`.
    """
    if len(history) != len(diff_ids):
        raise ValueError(f"{len(history)} history entries, {len(diff_ids)} layers")
    config: dict[str, object] = {
        "Env": [f"{name}={value}" for name, value in sorted(env.items())]
    }
    if cmd is not None:
        config["Cmd"] = list(cmd)
    if labels:
        config["Labels"] = dict(labels)
    return _canonical(
        {
            "architecture": architecture,
            "config": config,
            "created": CREATED,
            "history": [
                {"created": CREATED, "created_by": created_by} for created_by in history
            ],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [str(one) for one in diff_ids]},
        }
    )


def render_manifest(config: bytes, layers: Sequence[LayerDescriptor]) -> bytes:
    """Render the manifest of a rendered config and its layers, lowest first."""
    return _canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {
                "mediaType": CONFIG_TYPE,
                "digest": str(Digest.of(config)),
                "size": len(config),
            },
            "layers": [_descriptor(layer) for layer in layers],
        }
    )


def _descriptor(layer: LayerDescriptor) -> dict[str, object]:
    descriptor: dict[str, object] = {
        "mediaType": layer.media_type,
        "digest": str(layer.digest),
        "size": layer.size,
    }
    if layer.annotations:
        descriptor["annotations"] = dict(layer.annotations)
    return descriptor


def _canonical(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()
