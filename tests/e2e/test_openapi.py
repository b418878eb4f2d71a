"""The API is what its OpenAPI document says: every path, and every answer."""

import json
import re
import urllib.request
from typing import Any

import msgspec
import pytest

from nixeryd.api.builds import Build, LogPart
from nixeryd.web.live import Now
from nixeryd.web.openapi import ENDPOINTS
from tests.e2e.serving import ODD, PACKAGES, serving

GET = {one.path: one for one in ENDPOINTS if one.method == "get"}
POST = {one.path: one for one in ENDPOINTS if one.method == "post"}
EVENTS = {"now": Now, "log": LogPart, "build": Build}
BODIES = {
    "/api/v1/pull": {"names": ["hello"]},
    "/api/v1/offline": {"offline": False},
    "/api/v1/images/pin": {"names": ["hello"], "pinned": False},
    "/api/v1/gc": {"max_size": 10**9, "dry_run": True},
    "/api/v1/images/remove": {"names": ["shell/hello"]},
}


class Api:
    def __init__(self, daemon):
        self._url = f"http://localhost:{daemon.port}"

    def open(self, path: str, body: Any = None):
        # As our own page would ask: what changes anything is refused to others.
        headers = {"Origin": self._url, "X-Nixeryd": "page"} if body is not None else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, headers)
        return urllib.request.urlopen(request, timeout=120)

    def ask(self, path: str, body: Any = None) -> bytes:
        with self.open(path, body) as answer:
            return answer.read()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, demo_source):
    place = tmp_path_factory.mktemp("api")
    config = place / "config.toml"
    config.write_text(
        f'source = "demo"\n[sources.demo]\npath = "{demo_source}"\n'
        f'[sources.odd]\npath = "{PACKAGES}"\n'
    )
    with serving(place, f"--config={config}", environ=ODD) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def api(daemon) -> Api:
    api = Api(daemon)
    for name in ("hello", "shell/hello"):
        api.ask(f"/v2/{name}/manifests/latest")
    with pytest.raises(urllib.error.HTTPError):
        api.ask("/v2/breaks/manifests/odd")
    return api


def read_as(kind: Any, data: bytes) -> None:
    """Read JSON as a type: all of it must be in the type, and all of the type in it."""
    told = json.loads(data)
    assert json.loads(msgspec.json.encode(msgspec.convert(told, kind))) == told


def example(api: Api, path: str) -> str:
    """Fill a path in with what there is."""
    if "{build}" in path:
        listing = "failures" if "failures" in path else "builds"
        path = path.replace(
            "{build}", json.loads(api.ask(f"/api/v1/{listing}"))[0]["id"]
        )
    query = {
        "/api/v1/search": "q=hel&describe=true",
        "/api/v1/image": "name=hello",
        "/api/v1/image/inside": "name=hello",
        "/api/v1/image/why": "name=hello&path=/nix/store/x",
    }.get(path)
    return f"{path}?{query}" if query else path


@pytest.mark.parametrize("path", [p for p, one in GET.items() if one.answer])
def test_what_is_told_is_what_is_described(api, path):
    endpoint = GET[path]
    with api.open(example(api, path)) as answer:
        assert answer.headers["Content-Type"] == endpoint.media_type
        if endpoint.media_type == "application/json":
            read_as(endpoint.answer, answer.read())
            return
        lines = iter(answer)
        event = next(line for line in lines if line.startswith(b"event: "))
        data = next(line for line in lines if line.startswith(b"data: "))
        kind = EVENTS[event.decode().split()[1]]
        read_as(kind, data.removeprefix(b"data: "))


@pytest.mark.parametrize("path", POST)
def test_what_is_done_is_told_as_described(api, path):
    endpoint = POST[path]
    body = BODIES.get(path, {})
    if endpoint.body is not None:
        read_as(
            endpoint.body, msgspec.json.encode(msgspec.convert(body, endpoint.body))
        )
    answer = api.ask(path, body)
    lines = (
        answer.splitlines() if endpoint.media_type != "application/json" else [answer]
    )
    for line in lines:
        read_as(endpoint.answer, line)


def test_an_error_is_told_as_described(api):
    with pytest.raises(urllib.error.HTTPError) as caught:
        api.ask("/api/v1/builds/unknown")
    with caught.value as error:
        told = json.loads(error.read())
    document = json.loads(api.ask("/api/v1/openapi.json"))
    assert set(told["errors"][0]) <= set(
        document["components"]["schemas"]["ErrorEntry"]["properties"]
    )


def test_the_document_names_all_there_is(api):
    document = json.loads(api.ask("/api/v1/openapi.json"))
    text = json.dumps(document)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in document["components"]["schemas"]
    operations = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    ]
    assert len(set(operations)) == len(operations)
