"""The JSON API: what it tells, and on which door it does anything."""

import json

import msgspec
import pytest
import trio
import trio.testing

from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.runtime.flight import Stopping


def pull(*names):
    return json.dumps({"names": names}).encode()


def lines_of(answer):
    return [json.loads(line) for line in answer.body.splitlines()]


async def test_every_door_says_that_it_is_well(main, mirror, admin):
    for server in (main, mirror, admin):
        answer = await server.get("/healthz")
        assert (answer.status, answer.json) == (200, {"status": "ok"})


async def test_the_status_is_told_on_main_and_admin(main, mirror, admin):
    for server in (main, admin):
        assert (await server.get("/api/v1/status")).json["images"] == 0
    assert (await mirror.get("/api/v1/status")).status == 404


async def test_the_admin_door_is_no_registry(admin):
    assert (await admin.get("/v2/")).status == 404


async def test_a_pull_is_told_line_by_line(admin, control):
    control.scripts["a"] = [{"type": "building", "done": 1}, {"type": "done"}]
    control.scripts["b:tag"] = [{"type": "done"}]
    answer = await admin.request("POST", "/api/v1/pull", body=pull("a", "b:tag"))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert lines_of(answer) == [
        {"name": "a", "type": "building", "done": 1},
        {"name": "a", "type": "done"},
        {"name": "b:tag", "type": "done"},
    ]


async def test_an_event_is_sent_at_once(admin, control):
    more = trio.Event()
    control.scripts["a"] = [{"type": "begun"}, more, {"type": "done"}]
    async with await admin.connect() as client:
        await client.ask("POST", "/api/v1/pull", body=pull("a"))
        await client.head()
        assert json.loads((await client.event()).data)["type"] == "begun"
        more.set()
        assert json.loads((await client.event()).data)["type"] == "done"


async def test_a_failure_is_a_line_and_the_next_is_tried(admin, control):
    control.scripts["a"] = [RegistryError(ErrorCode.MANIFEST_UNKNOWN, "no a")]
    control.scripts["b"] = [{"type": "done"}]
    answer = await admin.request("POST", "/api/v1/pull", body=pull("a", "b"))
    assert lines_of(answer) == [
        {"name": "a", "type": "error", "code": "MANIFEST_UNKNOWN", "message": "no a"},
        {"name": "b", "type": "done"},
    ]


async def test_a_defect_breaks_the_stream_off(admin, control, caplog):
    seen = trio.Event()
    control.scripts["a"] = [{"type": "begun"}, seen, KeyError("secret")]
    async with await admin.connect() as client:
        await client.ask("POST", "/api/v1/pull", body=pull("a"))
        await client.head()
        assert b"begun" in (await client.event()).data
        seen.set()
        assert await client.rest() == b""  # and no last chunk
    assert caplog.text.count("a request failed") == 1


async def test_who_leaves_stops_listening(admin, control):
    control.scripts["a"] = [{"type": "begun"}, trio.Event()]
    async with await admin.connect() as client:
        await client.ask("POST", "/api/v1/pull", body=pull("a"))
        await client.head()
        await client.event()
        assert control.running == {"a"}
    with trio.fail_after(20):
        while control.running:
            await trio.testing.wait_all_tasks_blocked()


async def test_a_pull_may_be_of_all_platforms(admin, control):
    control.scripts["a"] = [{"type": "done"}]
    body = msgspec.json.encode({"names": ["a"], "all_platforms": True})
    await admin.request("POST", "/api/v1/pull", body=body)
    assert control.all_platforms
    assert not control.fresh


async def test_a_pull_may_evaluate_anew(admin, control):
    control.scripts["a"] = [{"type": "done"}]
    body = msgspec.json.encode({"names": ["a"], "fresh": True})
    await admin.request("POST", "/api/v1/pull", body=body)
    assert control.fresh


async def test_the_network_is_switched_off_and_on(admin, main, control):
    for offline in (True, False):
        body = msgspec.json.encode({"offline": offline})
        answer = await admin.request("POST", "/api/v1/offline", body=body)
        assert (answer.status, answer.json) == (200, {"offline": offline})
        assert control.offline is offline
        body = msgspec.json.encode({"offline": not offline})
        answer = await main.request("POST", "/api/v1/offline", body=body)
        assert answer.status == 403
        assert control.offline is offline
    for body in (b"", b"{}", b'{"offline": 1}'):
        answer = await admin.request("POST", "/api/v1/offline", body=body)
        assert answer.status == 400


async def test_metrics_are_text(main):
    answer = await main.get("/metrics")
    assert (answer.status, answer.body) == (200, b"nixeryd_up 1\n")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_the_main_door_changes_nothing(main, mirror, control):
    for server, status in ((main, 403), (mirror, 404)):
        answer = await server.request(
            "POST",
            "/api/v1/pull",
            body=pull("a"),
            x_forwarded_for="unix:",
            remote_addr="<local>",
        )
        assert answer.status == status
        assert answer.code
    assert control.running == set()


async def test_the_pages_buttons_do_what_they_say(main, control):
    control.scripts["a"] = [{"event": "done"}]
    headers = {
        "host": f"localhost:{main.port}",
        "origin": f"http://localhost:{main.port}",
        "x_nixeryd": "page",
    }
    path = "/api/v1/pull"
    answer = await main.request("POST", path, body=pull("a"), **headers)
    assert lines_of(answer) == [{"name": "a", "event": "done"}]
    for name in ("origin", "x_nixeryd"):
        fewer = {key: text for key, text in headers.items() if key != name}
        answer = await main.request("POST", path, body=pull("a"), **fewer)
        assert (answer.status, answer.code) == (403, "DENIED")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"names": []}',
        b'{"names": "a"}',
        b'{"names": [1]}',
        b'{"names": ["a"], "x": 1}',
        b'{"names": ["\xff"]}',
        msgspec.json.encode({"names": ["a"] * 101}),
    ],
)
async def test_what_is_no_request_is_explained(admin, body):
    answer = await admin.request("POST", "/api/v1/pull", body=body)
    assert (answer.status, answer.code) == (400, "UNKNOWN")


async def test_a_request_too_large_is_refused(admin):
    async with await admin.connect() as client:
        await client.ask("POST", "/api/v1/pull", body=b" " * 3_000_000)
        assert (await client.answer()).status == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/pull", 405),
        ("DELETE", "/healthz", 405),
        ("GET", "/api/v2", 404),
        ("GET", "/healthz/", 200),
    ],
)
async def test_no_error_is_html_and_no_path_redirected(admin, method, path, status):
    answer = await admin.request(method, path)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert status != 405 or answer.headers["allow"]


async def test_other_errors_in_status_are_told(admin, control, monkeypatch):
    async def fail():
        raise NixerydError("the index is locked")

    monkeypatch.setattr(control, "status", fail)
    answer = await admin.get("/api/v1/status")
    assert (answer.status, answer.code) == (500, "UNKNOWN")


async def test_the_configuration_is_told_and_read_again(admin, control):
    assert (await admin.get("/api/v1/config")).json == {"idle_exit": 5}
    control.reloads = [
        {"changed": ["idle_exit"], "needs_restart": []},
        NixerydError("config.toml: no TOML"),
    ]
    answer = await admin.request("POST", "/api/v1/reload")
    assert answer.json == {"changed": ["idle_exit"], "needs_restart": []}
    answer = await admin.request("POST", "/api/v1/reload")
    assert answer.status == 500
    assert answer.json["errors"][0]["message"] == "config.toml: no TOML"


async def test_nobody_else_makes_it_read_again(main, control):
    assert (await main.request("POST", "/api/v1/reload")).status == 403
    assert control.reloads == []


async def test_a_daemon_that_stops_says_when_to_ask_again(main, registry):
    registry.manifests[("a",), "latest"] = Stopping()
    answer = await main.get("/v2/a/manifests/latest")
    assert (answer.status, answer.headers["retry-after"]) == (429, "2")
    assert answer.json["errors"][0]["code"] == "TOOMANYREQUESTS"


async def test_a_search_is_answered_on_every_door_but_the_mirrors(
    main, mirror, admin, control
):
    for server in (main, admin):
        answer = await server.get("/api/v1/search?q=py+req&limit=5&describe=1")
        assert answer.json == {"source": "demo", "packages": []}
        assert control.searched == ("py req", 5, True)
        await server.get("/api/v1/search?q=a")
        assert control.searched == ("a", 20, False)
    assert (await mirror.get("/api/v1/search?q=a")).status == 404


@pytest.mark.parametrize("query", ["", "q=", "q=a&limit=0", "q=a&limit=x", "q=a&z=1"])
async def test_a_search_for_nothing_is_a_bad_request(main, query):
    assert (await main.get(f"/api/v1/search?{query}")).status == 400
