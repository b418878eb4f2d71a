"""Refusals at which an engine stops; tests/e2e/test_strangers_images.py has engines."""

import json

import pytest

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.images.manifests import MANIFEST_TYPE
from nixeryd.images.served_manifests import StillBuilding
from nixeryd.web import refusals
from nixeryd.web.waiting import HOPS

PATH = "/v2/shell/git/manifests/latest"
FAILED = RegistryError(ErrorCode.DENIED, "git: builder failed\nLog: /somewhere")
ERRORS = [
    FAILED,
    RegistryError(ErrorCode.MANIFEST_UNKNOWN, "no such package"),
    RegistryError(ErrorCode.TOOMANYREQUESTS, "ask again"),
    NixerydError("a disk is full"),
    ValueError("a defect"),
]
DOCKER = {"user-agent": "docker/20.10.24 go/go1.19.8 UpstreamClient(...)"}
PODMAN = {"user-agent": "containers/5.23.1 (github.com/containers/image)"}


@pytest.fixture
def failed(registry):
    def fail(error: Exception) -> None:
        registry.manifests[("shell", "git"), "latest"] = error

    fail(FAILED)
    return fail


@pytest.mark.parametrize("agent", [DOCKER, PODMAN], ids=["docker", "podman"])
@pytest.mark.parametrize("error", ERRORS, ids=str)
async def test_without_a_namespace_it_is_a_manifest_of_no_image(
    mirror, failed, error, agent
):
    failed(error)
    head = await mirror.request("HEAD", PATH, **agent)
    answer = await mirror.get(PATH, **agent)
    assert head.status == answer.status == 200
    assert answer.headers["content-type"] == MANIFEST_TYPE
    digest = Digest.of(answer.body)
    for one in (head, answer):
        assert one.headers["docker-content-digest"] == str(digest)
        assert one.headers["content-length"] == str(len(answer.body))
    manifest = json.loads(answer.body)
    reason = manifest["config"]["mediaType"]
    expected = str(error) if isinstance(error, NixerydError) else "nixeryd's log"
    assert expected in reason
    # Docker asks by the digest next, and containers/image for the config.
    again = await mirror.get(f"/v2/shell/git/manifests/{digest}", **agent)
    assert (again.status, again.body) == (200, answer.body)
    config = await mirror.get(f"/v2/shell/git/blobs/{manifest['config']['digest']}")
    assert (config.status, config.code) == (403, "DENIED")
    assert config.json["errors"][0]["message"] == reason


@pytest.mark.parametrize("error", ERRORS, ids=str)
async def test_with_a_namespace_head_promises_what_get_does_not_give(
    main, mirror, failed, error
):
    failed(error)
    for listener in (main, mirror):
        path = f"{PATH}?ns=docker.io"
        head = await listener.request("HEAD", path, **DOCKER)
        assert head.status == 200
        assert "docker-content-digest" not in head.headers
        assert "content-length" not in head.headers
        assert (await listener.get(path, **DOCKER)).status >= 400


async def test_whoever_else_asks_is_told_and_so_is_the_log(mirror, failed, caplog):
    for method in ("HEAD", "GET"):
        answer = await mirror.request(method, PATH)
        assert answer.status == 403
    assert answer.code == "DENIED"
    (record,) = caplog.records
    assert "/v2/shell/git/" in record.message


async def test_what_is_another_registrys_or_asked_for_here_is_refused_as_ever(
    main, mirror, failed
):
    for listener, path in ((main, PATH), (mirror, "/v2/library/git/manifests/latest")):
        for method in ("HEAD", "GET"):
            answer = await listener.request(method, path, **DOCKER)
            assert answer.status in (403, 404)


async def test_a_digest_that_nobody_made_is_unknown(mirror):
    digest = Digest.of(b"nothing")
    answer = await mirror.get(f"/v2/shell/git/manifests/{digest}", **DOCKER)
    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")


async def test_who_was_promised_a_manifest_gets_one(mirror, registry):
    """The last hop of a long wait: the headers are gone when the build fails."""

    async def build():
        if registry.patience[-1].seconds < float("inf"):
            raise StillBuilding("ticket")
        raise FAILED

    registry.manifests[("shell", "git"), "latest"] = build
    last = f"{PATH}?nixeryd-hop={HOPS}&nixeryd-ticket=ticket"
    answer = await mirror.get(last, **DOCKER)
    assert answer.status == 200
    assert FAILED.message in json.loads(answer.body)["config"]["mediaType"]
    digest = Digest.of(answer.body)
    again = await mirror.get(f"/v2/shell/git/manifests/{digest}", **DOCKER)
    assert again.body == answer.body


async def test_the_last_refusals_are_remembered(mirror, failed, monkeypatch):
    monkeypatch.setattr(refusals, "_REMEMBERED", 2)
    digests = []
    for number in range(3):
        failed(RegistryError(ErrorCode.DENIED, f"failure {number}"))
        answer = await mirror.get(PATH, **DOCKER)
        digests.append(answer.headers["docker-content-digest"])
    asked = [
        (await mirror.get(f"/v2/shell/git/manifests/{digest}", **DOCKER)).status
        for digest in digests
    ]
    assert asked == [404, 200, 200]
