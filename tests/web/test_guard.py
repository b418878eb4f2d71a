"""Who may ask: the table first, then that the server goes by it."""

import pytest

from nixeryd.web.app import create_app
from nixeryd.web.guard import Policy, is_this_machine, refuse
from nixeryd.web.ports import Door

OURS = Policy(hosts=frozenset({"nix.example.org"}))
REMOTE = Policy(allow_remote=True)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:5000",
        "LocalHost:5000",
        "localhost.",
        "127.0.0.1:5000",
        "127.1.2.3",
        "[::1]",
        "[::1]:5000",
        "app.localhost:80",
        "host.docker.internal:5000",
        "host.containers.internal",
        "host.lima.internal",
        "nix.example.org:5000",
    ],
)
def test_our_names_are_served(host):
    assert refuse("GET", "/v2/", [("host", host)], OURS) is None


STRANGE_HOSTS = [
    "",
    "evil.example",
    "localhost.evil.example",
    "evil.example:5000",
    "evillocalhost",
    ".localhost",
    "a..localhost",
    "-.localhost",
    "a" * 64 + ".localhost",
    "127.0.0.1.nip.io",
    "0.0.0.0:5000",
    "192.168.1.2:5000",
    "2130706433",
    "0x7f.1",
    "127.1",
    "[fe80::1]",
    "[::1",
    "::1",
    "[::ffff:8.8.8.8]",
    "localhost:5000:5000",
    "localhost:",
    "localhost:x",
    "localhost/",
    "user@localhost",
    "localhost localhost",
    "localhost,evil.example",
    "lоcalhost",  # noqa: RUF001  a Cyrillic o is the point
    "localhost\0",
]


@pytest.mark.parametrize("host", STRANGE_HOSTS)
@pytest.mark.parametrize("path", ["/v2/", "/", "/healthz"])
def test_other_names_are_refused(host, path):
    assert refuse("GET", path, [("host", host)], OURS) is not None


@pytest.mark.parametrize("headers", [[], [("host", "localhost")] * 2])
def test_one_host_is_wanted(headers):
    assert refuse("GET", "/v2/", headers, OURS) is not None


def test_remote_clients_use_addresses_but_no_names():
    assert refuse("GET", "/v2/", [("host", "192.168.1.2:5000")], REMOTE) is None
    assert refuse("GET", "/v2/", [("host", "[fe80::1]:5000")], REMOTE) is None
    assert refuse("GET", "/v2/", [("host", "evil.example")], REMOTE) is not None


SELF = "http://localhost:5000"
# what a browser sends: method, path, Origin, Sec-Fetch-Site, Sec-Fetch-Mode
REFUSED = [
    ("GET", "/v2/", None, "cross-site", "no-cors"),
    ("GET", "/v2/a/manifests/b", None, "cross-site", "navigate"),
    ("GET", "/v2/a/manifests/b", None, "same-site", "no-cors"),
    ("GET", "/v2/", "http://evil.example", None, None),
    ("GET", "/v2/", "null", None, None),
    ("GET", "/v2/", SELF, "same-origin", "cors"),
    ("GET", "/v2", SELF, None, None),
    ("POST", "/api/v1/pull", "http://evil.example", "cross-site", "cors"),
    ("POST", "/api/v1/pull", SELF, "same-origin", "cors"),
    ("DELETE", "/anything", "null", None, None),
    ("OPTIONS", "/api/v1/pull", "http://evil.example", "cross-site", "cors"),
    ("GET", "/api/v1/status", "http://evil.example", "cross-site", "cors"),
    ("GET", "/api/v1/status", "http://localhost:3000", "same-site", "cors"),
    ("GET", "/api/v1/status", None, "cross-site", "no-cors"),
    ("GET", "/", None, "cross-site", "no-cors"),
    ("GET", "/", None, "same-site", "cors"),
    ("POST", "/", None, "cross-site", "navigate"),
    ("GET", "/", "https://localhost:5000", None, None),
]
SERVED = [
    ("GET", "/v2/", None, None, None),
    ("HEAD", "/v2/a/manifests/b", None, None, None),
    ("GET", "/v2/", None, "none", "navigate"),
    ("POST", "/api/v1/pull", None, None, None),
    ("GET", "/api/v1/status", None, "same-origin", "cors"),
    ("GET", "/api/v1/status", SELF, "same-origin", "cors"),
    ("GET", "/", None, "none", "navigate"),
    ("GET", "/", None, "cross-site", "navigate"),
    ("GET", "/healthz", None, None, None),
]


def browser_headers(origin, site, mode):
    headers = {"origin": origin, "sec-fetch-site": site, "sec-fetch-mode": mode}
    return [("host", "localhost:5000")] + [
        (name, text) for name, text in headers.items() if text is not None
    ]


@pytest.mark.parametrize(("method", "path", "origin", "site", "mode"), REFUSED)
def test_foreign_pages_are_refused(method, path, origin, site, mode):
    assert refuse(method, path, browser_headers(origin, site, mode), OURS) is not None


@pytest.mark.parametrize(("method", "path", "origin", "site", "mode"), SERVED)
def test_clients_and_our_own_page_are_served(method, path, origin, site, mode):
    assert refuse(method, path, browser_headers(origin, site, mode), OURS) is None


PRESSED = {
    "host": "localhost:5000",
    "origin": SELF,
    "sec-fetch-site": "same-origin",
    "sec-fetch-mode": "cors",
    "x-nixeryd": "page",
}


def press(method="POST", path="/api/v1/pull", **changes):
    fields = PRESSED | {name.replace("_", "-"): text for name, text in changes.items()}
    headers = [(name, text) for name, text in fields.items() if text is not None]
    return refuse(method, path, headers, OURS)


def test_a_button_of_our_own_page_is_served():
    assert press() is None
    assert press(sec_fetch_site=None, sec_fetch_mode=None) is None
    assert press(host="nix.example.org:80", origin="http://nix.example.org:80") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"x_nixeryd": None},
        {"x_nixeryd": "Page"},
        {"origin": "http://localhost:3000"},
        {"origin": "https://localhost:5000"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": None, "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"host": "evil.example", "origin": "http://evil.example"},
        {"method": "DELETE"},
        {"method": "OPTIONS"},
        {"path": "/v2/a/manifests/b"},
    ],
)
def test_nothing_else_is_taken_for_a_button(changes):
    assert press(**changes) is not None


@pytest.mark.parametrize(
    ("client", "is_here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("192.168.1.2", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_who_sits_at_this_machine(client, is_here):
    assert is_this_machine(client) is is_here


@pytest.mark.parametrize("path", ["http://localhost/v2/", "*", "localhost:443"])
def test_this_is_no_proxy(path):
    assert refuse("GET", path, [("host", "localhost")], OURS) is not None


@pytest.mark.parametrize("door", Door)
async def test_every_door_is_guarded(serving, registry, control, door):
    async with serving(create_app(registry, control, door, Policy())) as server:
        for headers in (
            {"host": "evil.example"},
            {"host": "localhost", "origin": "http://evil.example"},
            {"host": "localhost", "sec_fetch_site": "cross-site"},
        ):
            async with await server.connect() as client:
                answer = await client.request("GET", "/v2/", **headers)
                assert (answer.status, answer.code) == (403, "DENIED")
                assert "access-control-allow-origin" not in answer.headers
                assert (await client.request("GET", "/healthz")).status == 200
    assert registry.asked == []


@pytest.mark.parametrize("host", [h for h in STRANGE_HOSTS if h.isascii() and h])
async def test_a_strange_host_is_answered_in_json(main, host):
    async with await main.connect() as client:
        await client.send(f"GET /v2/ HTTP/1.0\r\nHost: {host}\r\n\r\n")
        assert (await client.rest()).startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 "))


async def test_a_request_without_host_is_refused(main):
    async with await main.connect() as client:
        await client.send("GET /v2/ HTTP/1.0\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 403 ")


async def test_a_proxy_request_is_refused(main):
    async with await main.connect() as client:
        await client.send(
            "GET http://evil.example/v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        assert (await client.answer()).status == 403
