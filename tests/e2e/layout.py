"""An OCI image layout on disk: reading one, and writing the smallest one.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True)
class Layout:
    """The one image in a layout; what is read is checked against its digest."""

    directory: Path

    def blob(self, digest: str) -> bytes:
        algorithm, _, hexadecimal = digest.partition(":")
        body = (self.directory / "blobs" / algorithm / hexadecimal).read_bytes()
        assert hashlib.sha256(body).hexdigest() == hexadecimal
        return body

    @property
    def manifest(self) -> dict[str, Any]:
        index = json.loads((self.directory / "index.json").read_text())
        [entry] = index["manifests"]
        return json.loads(self.blob(entry["digest"]))

    @property
    def config(self) -> dict[str, Any]:
        return json.loads(self.blob(self.manifest["config"]["digest"]))

    def layers(self) -> Iterator[tarfile.TarFile]:
        """Open each layer; its tar's digest must be the config's diff id."""
        descriptors = self.manifest["layers"]
        diff_ids = self.config["rootfs"]["diff_ids"]
        for descriptor, diff_id in zip(descriptors, diff_ids, strict=True):
            body = self.blob(descriptor["digest"])
            assert len(body) == descriptor["size"]
            if descriptor["mediaType"].endswith("gzip"):
                body = gzip.decompress(body)
            assert diff_id == f"sha256:{hashlib.sha256(body).hexdigest()}"
            with tarfile.open(fileobj=io.BytesIO(body)) as archive:
                yield archive


def write_layout(directory: Path, files: Mapping[str, bytes], cmd: list[str]) -> None:
    """Write a layout with an image of one layer, tagged `latest`."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(body), 0o755
            archive.addfile(member, io.BytesIO(body))

    def add(body: bytes, media_type: str) -> dict[str, Any]:
        hexadecimal = hashlib.sha256(body).hexdigest()
        place = directory / "blobs" / "sha256" / hexadecimal
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)
        digest = f"sha256:{hexadecimal}"
        return {"mediaType": media_type, "digest": digest, "size": len(body)}

    tar = add(layer.getvalue(), _LAYER)
    config = {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": {"Cmd": cmd},
        "rootfs": {"type": "layers", "diff_ids": [tar["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": add(json.dumps(config).encode(), _CONFIG),
        "layers": [tar],
    }
    entry = add(json.dumps(manifest).encode(), _MANIFEST)
    entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    index = {"schemaVersion": 2, "manifests": [entry]}
    (directory / "index.json").write_text(json.dumps(index))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
