"""Who may ask: the table first, then that the server goes by it."""

import pytest

from nixeryd.web.app import create_app
from nixeryd.web.guard import is_this_machine, refuse
from nixeryd.web.hosts import Policy
from nixeryd.web.ports import ListenerKind

OURS = Policy(hosts=frozenset({"nix.example.org"}))
REMOTE = Policy(allow_remote=True)
BOTH = Policy(OURS.hosts, allow_remote=True)


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
    ],
)
@pytest.mark.parametrize("path", ["/v2/", "/", "/api/v1/status", "/metrics"])
def test_our_names_are_served(host, path):
    assert refuse("GET", path, [("host", host)], OURS) is None


BINDABLE = [
    "app.localhost:80",
    "host.docker.internal:5000",
    "host.containers.internal",
    "host.lima.internal",
    "nix.example.org:5000",
    "192.168.1.2:5000",
]


@pytest.mark.parametrize("host", BINDABLE)
def test_names_that_a_resolver_answers_lead_to_the_registry_only(host):
    def ask(path, method="GET", **more):
        fields = {name.replace("_", "-"): text for name, text in more.items()}
        return refuse(method, path, [("host", host), *fields.items()], BOTH)

    assert ask("/v2/a/manifests/b", user_agent="docker/29.1") is None
    assert ask("/v2/", user_agent="Mozilla/5.0") is not None
    # Who watches us from a container may; a page may not.
    for path in ("/healthz", "/metrics"):
        assert ask(path) is None
        assert ask(path, "POST") is not None
        assert ask(path, user_agent="Mozilla/5.0") is not None
        assert ask(path, referer=f"http://{host}/") is None
        assert ask(path, accept_language="en") is not None
    for path in ("/", "/images", "/api/v1/status", "/api/v1/search?q=a", "/metrics/"):
        assert ask(path) is not None
    assert ask("/api/v1/gc", "POST", origin=f"http://{host}", x_nixeryd="page")


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
    ("GET", "/v2/", None, "none", "navigate"),
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
    assert press(host="127.0.0.1:5000", origin="http://127.0.0.1:5000") is None


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
        {"host": "nix.example.org:80", "origin": "http://nix.example.org:80"},
        {"sec_purpose": "prefetch"},
        {"method": "DELETE"},
        {"method": "OPTIONS"},
        {"path": "/v2/a/manifests/b"},
    ],
)
def test_nothing_else_is_taken_for_a_button(changes):
    assert press(**changes) is not None


# One header alone, as a page can have them sent.
SIGNS = {
    "sec-fetch-site": "none",
    "sec-fetch-mode": "no-cors",
    "sec-fetch-dest": "image",
    "sec-purpose": "prefetch",
    "purpose": "prefetch",
    "x-purpose": "preview",
    "x-moz": "prefetch",
    "sec-ch-ua": '"Chromium"',
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "origin": "http://localhost:5000",
    "referer": "http://evil.example/",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko Firefox/145.0",
    "accept-language": "en",
}


@pytest.mark.parametrize(
    "path", ["/v2/", "/v2/a/blobs/b", "/%762/", "//v2", "/x/../v2/"]
)
@pytest.mark.parametrize(("name", "text"), SIGNS.items(), ids=SIGNS)
def test_a_browser_has_no_business_with_the_registry(name, text, path):
    headers = [("host", "localhost:5000"), (name, text)]
    assert refuse("GET", path, headers, OURS).code == "DENIED"


# What they were seen to send: tests/e2e pulls with those that are here.
@pytest.mark.parametrize(
    "agent",
    [
        None,
        "docker/29.1.2 go/go1.25 UpstreamClient(Docker-Client/29.1.2 \\(linux\\))",
        "containerd/v2.2.0",
        "containers/5.37.0 (github.com/containers/image)",
        "skopeo/1.21",
        "Buildah/1.42",
        "cri-o/1.34.0 go/go1.24 os/linux arch/amd64",
        "buildkit/v0.26",
        "go-containerregistry/v0.20.6",
        "crane/v0.20.6",
        "oras/1.3.0",
        "Helm/4.0.0",
        "regclient/regctl (v0.10)",
        "Go-http-client/1.1",
        "curl/8.17",
        "Wget/1.25",
        "python-requests/2.32",
    ],
)
def test_engines_are_no_browsers(agent):
    # Go adds the Referer when it follows our redirect, whatever we are called.
    for host in ("localhost:5000", "host.docker.internal:5000"):
        headers = [
            ("host", host),
            ("accept", "*/*"),
            ("accept-encoding", "gzip"),
            ("referer", f"http://{host}/v2/a/manifests/latest?ns=docker.io"),
            *([("user-agent", agent)] if agent else []),
        ]
        assert refuse("GET", "/v2/a/manifests/latest", headers, OURS) is None


@pytest.mark.parametrize(
    "path",
    [
        "//api/v1/search",
        "/./api/v1/search",
        "/x/../api/v1/search",
        "/api//v1/search",
        "/api/v1/..",
        "//",
        "/%2e/api/v1/search",
        "/%2fapi/v1/search",
        "/api/v1/search/..%2fsearch",
        "//v2/",
        "/%76%32/",
        "/x/../v2/a/manifests/b",
    ],
)
def test_a_path_is_written_in_one_way(path):
    assert refuse("GET", path, [("host", "localhost")], OURS).code == "NAME_UNKNOWN"


# What a link of another page may open, and in what spelling.
LINKED = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.parametrize("path", ["/%61pi/v1/search", "/api/v1/search", "/%61%70i"])
def test_the_api_is_no_link_however_it_is_written(path):
    headers = [("host", "localhost"), ("sec-fetch-site", "cross-site"), *LINKED.items()]
    assert refuse("GET", path, headers, OURS) is not None
    assert refuse("GET", "/failures", headers, OURS) is None
    assert refuse("GET", path, headers[:1], OURS) is None


AGENT = ("user-agent", "Mozilla/5.0 (Macintosh) AppleWebKit/605 Version/15.6 Safari")


@pytest.mark.parametrize(
    ("headers", "is_served"),
    [
        ([AGENT], False),
        ([AGENT, ("referer", "http://evil.example/")], False),
        ([AGENT, ("referer", "http://localhost:3000/")], False),
        ([AGENT, ("referer", "http://localhost/compose")], True),
        ([AGENT, ("sec-fetch-site", "none")], True),
        ([AGENT, ("sec-fetch-site", "same-origin")], True),
        ([], True),
    ],
)
def test_an_old_browser_says_at_least_where_it_comes_from(headers, is_served):
    refusal = refuse("GET", "/api/v1/search", [("host", "localhost"), *headers], OURS)
    assert (refusal is None) is is_served


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/status", "/healthz", "/static/1/page.js"]
)
@pytest.mark.parametrize("name", ["sec-purpose", "purpose", "x-moz"])
def test_nothing_is_loaded_before_somebody_asks_for_it(name, path):
    headers = [("host", "localhost"), ("sec-fetch-site", "none"), (name, "prefetch")]
    assert refuse("GET", path, headers, OURS) is not None


async def test_a_refusal_is_logged_once_per_kind(main, caplog):
    for _ in range(3):
        await main.get("/v2/", origin="http://evil.example")
        await main.get("/", sec_purpose="prefetch")
    logged = [text for text in caplog.messages if text.startswith("refused")]
    assert len(logged) == len(set(logged)) == 2


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


@pytest.mark.parametrize("listener", ListenerKind)
async def test_every_door_is_guarded(serving, registry, control, listener):
    async with serving(create_app(registry, control, listener, Policy())) as server:
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
