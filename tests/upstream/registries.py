"""Debian's docker-registry as somebody else's registry, and images to put there."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.e2e.processes import Process

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

USER = "mirror"
PASSWORD = "correct-horse"
# bcrypt, the only kind that docker-registry takes; of PASSWORD, at the lowest cost
_HTPASSWD = f"{USER}:$2b$05$Z36sMXDCxNpkLA9z.esuhe4psBMWYzimM6XbFrt.pw2uMsBAEAkvi\n"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Image:
    """An image as it lies in a registry: exact bytes."""

    repository: str
    manifest: bytes
    config: bytes
    layers: tuple[bytes, ...]

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    @property
    def config_digest(self) -> str:
        return digest_of(self.config)


def make_image(repository: str, layers: Sequence[bytes]) -> Image:
    """Make an OCI image of these layers (any bytes: nobody here unpacks them)."""
    digests = [digest_of(layer) for layer in layers]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": digests},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": CONFIG,
                "digest": digest_of(config),
                "size": len(config),
            },
            "layers": [
                {"mediaType": LAYER, "digest": digest, "size": len(layer)}
                for digest, layer in zip(digests, layers, strict=True)
            ],
        }
    ).encode()
    return Image(repository, manifest, config, tuple(layers))


@dataclass(frozen=True, slots=True)
class DebianRegistry:
    """A running docker-registry; pushing to it is plain, synchronous HTTP."""

    port: int
    process: Process
    auth: tuple[str, str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Be gone."""
        self.process.end()

    def push(self, image: Image, *tags: str) -> None:
        """Push all blobs, then the manifest under these tags."""
        with self._client() as client:
            for blob in (image.config, *image.layers):
                self._push_blob(client, image.repository, blob)
            for tag in tags:
                self._push_manifest(
                    client, image.repository, tag, image.manifest, MANIFEST
                )

    def push_manifest(
        self, repository: str, tag: str, body: bytes, media_type: str
    ) -> None:
        """Push any manifest, for example an index of images pushed before."""
        with self._client() as client:
            self._push_manifest(client, repository, tag, body, media_type)

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, auth=self.auth, trust_env=False)

    def _push_blob(self, client: httpx.Client, repository: str, blob: bytes) -> None:
        begun = client.post(f"/v2/{repository}/blobs/uploads/")
        assert begun.status_code == 202, begun.text
        location = urlsplit(begun.headers["Location"])
        done = client.put(
            f"{location.path}?{location.query}&digest={digest_of(blob)}", content=blob
        )
        assert done.status_code == 201, done.text

    def _push_manifest(
        self,
        client: httpx.Client,
        repository: str,
        tag: str,
        body: bytes,
        media_type: str,
    ) -> None:
        done = client.put(
            f"/v2/{repository}/manifests/{tag}",
            content=body,
            headers={"Content-Type": media_type},
        )
        assert done.status_code == 201, done.text


@contextmanager
def run_registry(
    directory: Path, *, password: bool = False
) -> Iterator[DebianRegistry]:
    """Run a docker-registry in this empty directory, on a free loopback port.

    With `password`, it wants USER and PASSWORD (Basic).
    """
    settings = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(directory / "data")},
            "delete": {"enabled": True},
        },
        "http": {"addr": "127.0.0.1:0", "relativeurls": True, "secret": "of a test"},
    }
    if password:
        file = directory / "htpasswd"
        file.write_text(_HTPASSWD)
        settings["auth"] = {"htpasswd": {"realm": "test", "path": str(file)}}
    config = directory / "registry.yml"
    config.write_text(json.dumps(settings))  # JSON is YAML
    process = Process(["docker-registry", "serve", config])
    try:
        port = int(process.wait_for_line(r"listening on 127\.0\.0\.1:(\d+)")[1])
        yield DebianRegistry(port, process, (USER, PASSWORD) if password else None)
    finally:
        process.end()
