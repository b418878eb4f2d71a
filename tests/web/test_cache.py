"""The API of the cache: who may do what, and how answers look."""

import json

import h11
import pytest

from nixeryd.api.images import (
    Broken,
    Checked,
    Checking,
    Evicted,
    Image,
    ImageList,
    Unnamed,
)
from nixeryd.images.errors import ErrorCode, RegistryError
from tests.web.conftest import MemoryArchive

IMAGE = Image(
    kind="nix",
    repository="shell/git",
    tag="latest",
    digest="sha256:0",
    size=10,
    unique=4,
    missing=0,
    used=1.5,
    since=1.0,
    pinned=True,
)
EVICTED = Evicted(freed=1, left=2, manifests=3, blobs=4, images=("a:latest",))
CHANGES = [
    ("images/remove", {"names": ["a", "b:c"]}, ("remove", ("a", "b:c"))),
    ("images/pin", {"names": ["a"]}, ("pin", ("a",), True)),
    ("images/pin", {"names": ["a"], "pinned": False}, ("pin", ("a",), False)),
    ("gc", {}, ("collect", None, False)),
    ("gc", {"max_size": 0, "dry_run": True}, ("collect", 0, True)),
]


async def test_the_list_is_for_all_but_the_mirror(main, mirror, admin, control):
    unnamed = Unnamed(manifests=2, size=5)
    control.cache.answer = ImageList((IMAGE,), unnamed, size=15, cap=None)
    for server in (main, admin):
        answer = await server.get("/api/v1/images")
        assert answer.status == 200
        assert answer.json["cap"] is None
        assert answer.json["unnamed"] == {"manifests": 2, "size": 5}
        (image,) = answer.json["images"]
        assert (image["repository"], image["unique"], image["pinned"]) == (
            "shell/git",
            4,
            True,
        )
    assert (await mirror.get("/api/v1/images")).status == 404


async def test_what_is_not_in_the_cache_is_404(main, control):
    control.cache.answer = RegistryError(ErrorCode.MANIFEST_UNKNOWN, "not here")
    answer = await main.get("/api/v1/image?name=shell/git")
    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
    assert control.cache.asked == [("show", "shell/git")]


@pytest.mark.parametrize(("path", "body", "asked"), CHANGES)
async def test_changes_are_made_on_the_admin_socket_only(
    main, admin, control, path, body, *, asked
):
    control.cache.answer = EVICTED
    body = json.dumps(body).encode()
    answer = await main.request("POST", f"/api/v1/{path}", body=body)
    assert (answer.status, answer.code) == (403, "DENIED")
    assert control.cache.asked == []
    answer = await admin.request("POST", f"/api/v1/{path}", body=body)
    assert answer.status == 200
    assert control.cache.asked == [asked]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("images/remove", {}),
        ("images/remove", {"names": []}),
        ("images/remove", {"names": "a"}),
        ("images/remove", {"names": ["a"], "force": True}),
        ("images/pin", {"names": ["a"], "pinned": 1}),
        ("gc", {"max_size": -1}),
        ("gc", {"max_size": "5GB"}),
        ("verify", {"repair": "yes"}),
        ("verify", []),
    ],
)
async def test_what_was_not_asked_properly_is_400(admin, control, path, body):
    answer = await admin.request(
        "POST", f"/api/v1/{path}", body=json.dumps(body).encode()
    )
    assert answer.status == 400
    assert control.cache.asked == []


async def test_a_verification_is_told_line_by_line(admin, control):
    broken = Broken("sha256:1", "damaged", ("a:latest",))
    control.cache.answer = [
        Checking(done=1, total=2),
        Checked(blobs=7, size=2, broken=(broken,), repaired=True),
    ]
    answer = await admin.request("POST", "/api/v1/verify", body=b'{"repair": true}')
    assert control.cache.asked == [("verify", True)]
    first, last = map(json.loads, answer.body.splitlines())
    assert first == {"type": "checking", "done": 1, "total": 2}
    assert (last["type"], last["repaired"]) == ("checked", True)
    assert last["broken"][0]["images"] == ["a:latest"]


async def test_an_archive_is_as_long_as_announced(main, admin, control):
    control.cache.answer = MemoryArchive(5, b"<", b"tar", b">")
    path = "/api/v1/image/archive?name=shell/git%3Awork"
    assert (await main.get(path)).status == 403
    answer = await admin.get(path)
    assert answer.headers["content-length"] == "5"
    assert answer.headers["content-type"] == "application/x-tar"
    assert answer.body == b"<tar>"
    assert control.cache.asked == [("export", "shell/git:work")]


async def test_an_archive_that_breaks_off_is_cut(admin, control):
    control.cache.answer = MemoryArchive(5, b"<", OSError("the disk is gone"))
    async with await admin.connect() as client:
        await client.ask("GET", "/api/v1/image/archive?name=a")
        with pytest.raises(h11.RemoteProtocolError):
            await client.answer()
