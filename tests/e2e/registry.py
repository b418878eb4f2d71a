"""The registry protocol as a test speaks it: plain HTTP, every byte visible."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.processes import PATIENCE

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def digest(self) -> str:
        return self.headers["docker-content-digest"]

    @property
    def code(self) -> str:
        """The spec's code of the first error."""
        return self.json["errors"][0]["code"]

    @property
    def message(self) -> str:
        return self.json["errors"][0]["message"]


@dataclass(frozen=True, slots=True)
class Registry:
    """Where a registry listens."""

    port: int

    @property
    def address(self) -> str:
        """The host part of an image's name."""
        return f"localhost:{self.port}"

    def ask(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=PATIENCE
        )
        try:
            connection.request(method, path, headers=dict(headers or {}))
            response = connection.getresponse()
            return Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
            )
        finally:
            connection.close()

    def manifest(self, name: str, method: str = "GET") -> Answer:
        """Ask for NAME or NAME:TAG."""
        repository, _, tag = name.partition(":")
        path = f"/v2/{repository}/manifests/{tag or 'latest'}"
        return self.ask(path, method, {"Accept": MANIFEST_TYPE})
