"""Web pages of others: what each can send, by the attack's name, over a real socket.

The headers are those that browsers were seen to send; `tests/browser/` has a real one
do the same. All of it is refused before anything is built, read or changed.
"""

import pytest

PULL = "/v2/untouched/manifests/latest"
SEARCH = "/api/v1/search?q=a&describe=true"
EVIL = "http://evil.example"
TAB = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}


def foreign(mode: str, dest: str, **more: str) -> dict[str, str]:
    return {
        "sec_fetch_site": "cross-site",
        "sec_fetch_mode": mode,
        "sec_fetch_dest": dest,
        **more,
    }


ATTACKS = {
    "DNS rebinding": ("GET", PULL, {"host": "evil.example:5000"}),
    "DNS rebinding, reading": (
        "GET",
        "/api/v1/status",
        {"host": "evil.example:5000", "sec_fetch_site": "same-origin"},
    ),
    "DNS rebinding, pressing a button": (
        "POST",
        "/api/v1/images/remove",
        {
            "host": "evil.example:5000",
            "origin": "http://evil.example:5000",
            "sec_fetch_site": "same-origin",
            "x_nixeryd": "page",
        },
    ),
    "rebinding to an address": ("GET", PULL, {"host": "192.0.2.1:5000"}),
    "0.0.0.0": ("GET", PULL, {"host": "0.0.0.0:5000"}),
    "0.0.0.0 by another name": ("GET", PULL, {"host": "[::]:5000"}),
    "an image": ("GET", PULL, foreign("no-cors", "image")),
    "a script": ("GET", PULL, foreign("no-cors", "script")),
    "the API as a script": ("GET", "/api/v1/status", foreign("no-cors", "script")),
    "the page as a script": ("GET", "/", foreign("no-cors", "script")),
    "a style sheet": ("GET", PULL, foreign("no-cors", "style")),
    "a font": ("GET", PULL, foreign("cors", "font", origin=EVIL)),
    "a video": ("GET", PULL, foreign("no-cors", "video")),
    "speculation rules": (
        "GET",
        PULL,
        {
            "sec_fetch_site": "none",
            "sec_fetch_mode": "navigate",
            "sec_fetch_dest": "document",
            "sec_purpose": "prefetch",
            "referer": f"{EVIL}/",
        },
    ),
    "speculation rules, the page": (
        "GET",
        "/",
        {"sec_fetch_site": "none", "sec_purpose": "prefetch;prerender", **TAB},
    ),
    "a page of an old browser": ("GET", PULL, {"user_agent": "Mozilla/5.0"}),
    "an image of an old browser": ("GET", SEARCH, {"user_agent": "Mozilla/5.0"}),
    "rebinding a name of ours": (
        "GET",
        PULL,
        {"host": "host.docker.internal:5000", "user_agent": "Mozilla/5.0"},
    ),
    "rebinding a name of ours, as another client": (
        "GET",
        PULL,
        {
            "host": "host.docker.internal:5000",
            "user_agent": "docker/29.1",
            "accept_language": "en-US,en;q=0.9",
        },
    ),
    "rebinding a name of ours, reading": (
        "GET",
        "/api/v1/status",
        {"host": "app.localhost:5000"},
    ),
    "rebinding a name of ours, pressing a button": (
        "POST",
        "/api/v1/gc",
        {
            "host": "app.localhost:5000",
            "origin": "http://app.localhost:5000",
            "x_nixeryd": "page",
        },
    ),
    "a link to the API, in other letters": (
        "GET",
        "/%61pi/v1/search?q=a&describe=true",
        {"sec_fetch_site": "cross-site", **TAB},
    ),
    "prefetching": ("GET", PULL, foreign("no-cors", "empty", purpose="prefetch")),
    "fetch": ("GET", PULL, foreign("cors", "empty", origin=EVIL)),
    "fetch, blindly": ("GET", PULL, foreign("no-cors", "empty")),
    "HEAD": ("HEAD", PULL, foreign("no-cors", "empty")),
    "fetch of the API": (
        "GET",
        "/api/v1/images",
        foreign("cors", "empty", origin=EVIL),
    ),
    "a preflight": (
        "OPTIONS",
        "/api/v1/pull",
        foreign(
            "cors",
            "empty",
            origin=EVIL,
            access_control_request_method="POST",
            access_control_request_headers="x-nixeryd",
            access_control_request_private_network="true",
        ),
    ),
    "a form": ("POST", "/api/v1/pull", foreign("navigate", "document", origin=EVIL)),
    "a form of a sandbox": (
        "POST",
        "/api/v1/gc",
        foreign("navigate", "iframe", origin="null"),
    ),
    "a beacon": ("POST", "/api/v1/offline", foreign("no-cors", "empty", origin=EVIL)),
    "a ping": ("POST", PULL, foreign("no-cors", "empty", origin=EVIL)),
    "a button without its header": (
        "POST",
        "/api/v1/images/remove",
        {"origin": "http://localhost:5000", "host": "localhost:5000"},
    ),
    "a link to a build": ("GET", PULL, {"sec_fetch_site": "cross-site", **TAB}),
    "a redirect to a build": ("GET", PULL, {"sec_fetch_site": "cross-site", **TAB}),
    "a link to a search by Nix": (
        "GET",
        "/api/v1/search?q=a&describe=true",
        {"sec_fetch_site": "cross-site", **TAB},
    ),
    "a frame of a build": ("GET", PULL, foreign("navigate", "iframe")),
    "a frame of the page": ("GET", "/", foreign("navigate", "iframe")),
    "a frame of a search": (
        "GET",
        "/api/v1/search?q=a&describe=true",
        foreign("navigate", "iframe"),
    ),
    "an object": ("GET", "/", foreign("navigate", "object")),
    "an embedded page": ("GET", "/", foreign("navigate", "embed")),
    "events": ("GET", "/api/v1/events", foreign("cors", "empty", origin=EVIL)),
    "events of an old browser": ("GET", "/api/v1/events", {"origin": EVIL}),
    "a WebSocket": (
        "GET",
        "/",
        {
            "origin": EVIL,
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec_websocket_version": "13",
            "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    ),
    "a WebSocket of a page of ours": (
        "GET",
        PULL,
        {
            "origin": "http://localhost",
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec_websocket_version": "13",
            "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    ),
    "a worker": ("GET", "/", foreign("same-origin", "serviceworker")),
    "another port of localhost": (
        "GET",
        PULL,
        {"sec_fetch_site": "same-site", "sec_fetch_mode": "no-cors"},
    ),
    "another port, reading": (
        "GET",
        "/api/v1/status",
        {"origin": "http://localhost:3000", "sec_fetch_site": "same-site"},
    ),
    "an extension": ("GET", PULL, {"origin": "chrome-extension://abc"}),
    "a file": ("GET", PULL, {"origin": "null"}),
    "a proxy": ("GET", "http://evil.example/", {}),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_an_attack_is_refused(main, registry, control, attack):
    method, path, headers = attack
    answer = await main.request(method, path, **headers)
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert registry.asked == []
    assert control.cache.asked == []
    assert not hasattr(control, "searched")
    assert control.offline is False


async def test_our_own_page_lets_nobody_frame_it_or_run_anything_in_it(main):
    answer = await main.get("/")
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/failures"])
async def test_a_link_to_our_page_may_be_followed(main, path):
    headers = {"sec_fetch_site": "cross-site", **TAB}
    assert (await main.get(path, **headers)).status == 200
