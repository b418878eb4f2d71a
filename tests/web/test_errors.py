"""Failures over real sockets: JSON that a person and a client can act on."""

import contextlib
import errno
import logging
import os

import pytest
import trio

from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.runtime.exhaustion import EXHAUSTED

NOWHERE = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/git/manifests/latest", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/git/blobs/{NOWHERE}", 404, "BLOB_UNKNOWN"),
        ("/v2/git/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/git/manifests/sha256:abc", 400, "DIGEST_INVALID"),
        ("/v2/GIT/manifests/latest", 400, "NAME_INVALID"),
        ("/v2/_catalog", 405, "UNSUPPORTED"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_errors_are_the_specs(main, method, path, status, code):
    async with await main.connect() as client:
        answer = await client.request(method, path)
        assert answer.status == status
        assert answer.headers["content-type"] == "application/json"
        assert int(answer.headers["content-length"]) > 0
        assert method == "HEAD" or answer.code == code
        assert (await client.request("GET", "/v2/")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_unsupported(main, method):
    answer = await main.request(method, "/v2/git/blobs/uploads/")
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert answer.headers["allow"] == "GET, HEAD"


async def test_a_failed_build_is_told_with_its_detail(main, registry):
    registry.manifests[("git",), "latest"] = RegistryError(
        ErrorCode.DENIED, "git failed:\nno space", {"log": "/var/log"}
    )
    answer = await main.get("/v2/git/manifests/latest")
    assert (answer.status, answer.code) == (403, "DENIED")
    assert answer.json["errors"][0]["detail"] == {"log": "/var/log"}
    assert answer.json["errors"][0]["message"] == "git failed:\nno space"


async def test_another_known_failure_is_told_as_it_is(main, registry, caplog):
    registry.manifests[("git",), "latest"] = NixerydError("no space left for blobs")
    answer = await main.get("/v2/git/manifests/latest")
    assert (answer.status, answer.code) == (500, "UNKNOWN")
    assert answer.json["errors"][0]["message"] == "no space left for blobs"
    assert caplog.text.count("no space left for blobs") == 1


@pytest.mark.parametrize(
    "failure", [KeyError("secret"), ExceptionGroup("g", [KeyError("secret")])]
)
async def test_a_defect_is_logged_once_and_not_told(main, registry, caplog, failure):
    registry.manifests[("git",), "latest"] = failure
    answer = await main.get("/v2/git/manifests/latest")
    assert (answer.status, answer.code) == (500, "UNKNOWN")
    assert b"secret" not in answer.body
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 1


@pytest.mark.parametrize("code", sorted(EXHAUSTED))
async def test_what_the_machine_has_no_more_of_is_asked_for_again(main, registry, code):
    registry.manifests[("git",), "latest"] = OSError(code, os.strerror(code))
    answer = await main.get("/v2/git/manifests/latest")
    assert (answer.status, answer.code) == (429, "TOOMANYREQUESTS")
    assert f"({os.strerror(code)}); ask again" in answer.json["errors"][0]["message"]


@pytest.mark.parametrize(
    ("where", "place"), [(("/a/blob",), "/a/blob"), ((), "a file of this daemon")]
)
async def test_a_disk_that_fails_is_told_with_its_place_if_known(
    main, registry, where, place
):
    why = os.strerror(errno.EIO)
    registry.manifests[("git",), "latest"] = OSError(errno.EIO, why, *where)
    answer = await main.get("/v2/git/manifests/latest")
    assert (answer.status, answer.code) == (403, "DENIED")
    told = answer.json["errors"][0]["message"]
    assert told == f"{place}: {why}; mend its permissions or its disk"


def never_challenges(answer):
    return answer.status != 401 and "www-authenticate" not in answer.headers


ODD_PATHS = [
    "/v2//manifests/latest",
    "/v2/a//b/manifests/latest",
    "/v2/../v2/git/manifests/latest",
    "/v2/a/../b/manifests/latest",
    "/v2/a%2fb/manifests/latest",
    "/v2/a%2Fb/manifests/latest",
    "/v2/%00/manifests/latest",
    "/v2/a/manifests/%00",
    "/v2/a/manifests/%0a",
    "/v2/a/manifests/%ff%fe",
    "/v2/a/manifests/%",
    "/v2/a/manifests/",
    "/v2/manifests/latest",
    "/v2/manifests/manifests/manifests",
    "/v2/" + "a" * 10_000 + "/manifests/latest",
    "/v2/a/manifests/" + "b" * 10_000,
    "/v2/" + "a/" * 5_000 + "manifests/latest",
    "/v2/a/tags/list?n=-1",
    "/v2/a/tags/list?n=99999999999999999999",
    "/v2/a/tags/list?n=%00&last=%ff",
    "/v2/a/manifests/latest?ns=%ff",
    "/v2/a/manifests/latest?" + "&" * 10_000,
    "/v22/",
    "/%76%32/",
    "//v2/",
    "/v2%2f",
    "/nothing/here",
    "/%00",
    "/%ff",
]


@pytest.mark.parametrize("path", ODD_PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_odd_paths_are_answered_with_reason(main, registry, method, path, caplog):
    async with await main.connect() as client:
        answer = await client.request(method, path)
        assert 400 <= answer.status < 500
        assert answer.headers["content-type"] == "application/json"
        assert never_challenges(answer)
        assert (await client.request("GET", "/v2/")).status == 200
    assert [route for route, _ in registry.asked if ".." in str(route)] == []
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("path", ["/", "/?%ff"])
async def test_an_odd_query_does_not_keep_the_page_away(main, path, caplog):
    assert (await main.get(path)).status == 200
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


async def test_a_name_of_a_megabyte_is_refused(main):
    async with await main.connect() as client, trio.open_nursery() as nursery:

        async def push():
            with contextlib.suppress(trio.BrokenResourceError):
                await client.send("GET /v2/" + "a" * 1_000_000)

        nursery.start_soon(push)
        assert (await client.rest()).startswith(b"HTTP/1.1 431 ")
