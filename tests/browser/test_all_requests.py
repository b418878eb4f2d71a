"""A real browser sends all that a page can make it send: the daemon refuses each.

Every row of `attacks` is tried from three origins at once, in frames of tabs that stay
open. What the browser sent passes a recorder, which notes the daemon's answer: so each
row shows that it was sent, and that the daemon refused it.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page

from tests.browser.attacks import ATTACKS, Attack
from tests.browser.recorder import Recorder, Served
from tests.browser.site import Site

SEEN_WITH = "156"
"""The Chromium that `Attack.sent` tells of. Another one may send more, or less."""
ORIGINS = {
    "S": "another port of localhost",
    "X": "another site",
    "D": "a name of ours that was bound to us anew",
}
TARGETS = {
    "v2": "/v2/untouched/manifests/latest?row={tag}",
    "mirror": "/v2/shell/untouched/manifests/latest?row={tag}",
    "api": "/api/v1/search?row={tag}&q=untouched&describe=true",
    "odd": "/%61pi/v1/search?row={tag}&q=untouched&describe=true",
    "pull": "/api/v1/pull?row={tag}",
    "gc": "/api/v1/gc?row={tag}",
}
SVG = (
    "<svg xmlns='http://www.w3.org/2000/svg'>"
    "<image href='{}' width='9' height='9'/></svg>"
)
_URL = re.compile(r"(to=)?(?<![A-Za-z_])URL(?![A-Za-z_])")


@dataclass(frozen=True)
class World:
    """The daemon behind two recorders, and a site of somebody else."""

    site: Site
    main: Recorder
    mirror: Recorder
    strange: Recorder
    tabs: dict[str, Page]
    states: list[list[object]]  # the last one seen
    browser: Browser
    opened: list[BrowserContext]

    def origin(self, letter: str) -> str:
        """Say where a page comes from."""
        return {
            "S": f"http://localhost:{self.strange.port}",
            "X": f"http://evil.example:{self.strange.port}",
            "D": f"http://host.docker.internal:{self.main.port}",
        }[letter]

    def recorder(self, target: str) -> Recorder:
        return self.mirror if target == "mirror" else self.main

    def state(self) -> list[object]:
        """Tell what would change if anything were built, fetched or pressed."""
        names = ("builds", "failures", "images")
        return [json.loads(self.site.get(f"/api/v1/{name}")) for name in names]


def tag(number: int, letter: str, target: str) -> str:
    return f"{number}{letter}-{target}."


def render(text: str, url: str) -> str:
    text = text.replace("TAG", url.partition("row=")[2].partition("&")[0])
    return _URL.sub(lambda m: f"to={quote(url, safe='')}" if m[1] else url, text)


@pytest.fixture(scope="module")
def world(browser, site) -> Iterator[World]:
    ports: dict[str, int] = {}

    def pages(host: str, path: str) -> Served:
        parts = urlsplit(path)
        what = parts.path.removeprefix("/attack/")
        to = parse_qs(parts.query).get("to", [""])[0]
        if what.isdigit():
            letter = parts.query
            return _page(int(what), letter, host, ports)
        kind, body = {
            "redirect": ("text/plain", ""),
            "rules": (
                "application/speculationrules+json",
                json.dumps({"prefetch": [{"urls": [to], "eagerness": "immediate"}]}),
            ),
            "playlist": (
                "application/vnd.apple.mpegurl",
                f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{to}\n#EXT-X-ENDLIST\n",
            ),
            "xml": (
                "text/xml",
                f'<?xml-stylesheet type="text/xsl" href="{quote(to, "/:?=%")}"?><a/>',
            ),
            "entity": (
                "text/xml",
                f'<!DOCTYPE a [<!ENTITY b SYSTEM "{quote(to, "/:?=%")}">]><a>&b;</a>',
            ),
            "svg": (
                "image/svg+xml",
                SVG.format(to.replace("&", "&amp;")),
            ),
        }.get(what, ("text/html", "<!doctype html><title>hi</title>"))
        if what == "redirect":
            return 307, {"Location": to}, b""
        return 200, {"Content-Type": kind}, body.encode()

    main = Recorder(pages, behind=site.port)
    mirror = Recorder(pages, behind=site.mirror_port)
    strange = Recorder(pages)
    ports.update(main=main.port, mirror=mirror.port)
    context = browser.new_context()
    context.set_default_timeout(60_000)
    world = World(site, main, mirror, strange, {}, [], browser, [])
    world.states.append(world.state())
    for letter in ORIGINS:
        world.tabs[letter] = context.new_page()
        world.tabs[letter].goto(f"{world.origin(letter)}/attack/nothing")
    yield world
    context.close()
    for recorder in (main, mirror, strange):
        recorder.close()


def _page(number: int, letter: str, host: str, ports: dict[str, int]) -> Served:
    """Write the page that attacks, for who loads it by this name."""
    attack = ATTACKS[number]
    # A rebound page asks its own origin, others ask for localhost.
    name = host.partition(":")[0] if letter == "D" else "localhost"
    urls = []
    for target in attack.targets:
        port = ports["mirror" if target == "mirror" else "main"]
        path = TARGETS[target].format(tag=tag(number, letter, target))
        urls.append(f"http://{name}:{port}{path}")
    body = "<!doctype html><body><script>var URL_ = window['UR' + 'L']</script>"
    body += "\n".join(render(attack.html, url) for url in urls)
    headers = {name: render(text, urls[0]) for name, text in attack.headers}
    if any(name == "Link" for name, _ in attack.headers):
        headers["Link"] = ", ".join(render(attack.headers[0][1], url) for url in urls)
    return 200, {"Content-Type": "text/html", **headers}, body.encode()


def attack_from(world: World, number: int, letter: str) -> None:
    """Load the page that attacks: in a frame, or in a tab of its own."""
    url = f"{world.origin(letter)}/attack/{number}?{letter}"
    if not ATTACKS[number].is_tab:
        world.tabs[letter].evaluate(
            """(url) => { const frame = document.createElement("iframe");
                frame.src = url; frame.width = 400; frame.height = 300;
                document.body.replaceChildren(frame); }""",
            url,
        )
        return
    # What opens and leads elsewhere goes with its context, whatever it is doing.
    context = world.browser.new_context()
    world.opened.append(context)
    with suppress(Error):  # it has led elsewhere already
        context.new_page().goto(url, wait_until="commit", timeout=20_000)


def close_others(world: World) -> None:
    while world.opened:
        world.opened.pop().close()


@pytest.mark.parametrize(
    ("number", "attack"), list(enumerate(ATTACKS)), ids=[one.name for one in ATTACKS]
)
def test_a_page_gets_nothing(world: World, browser, number: int, attack: Attack):
    is_known = browser.version.startswith(f"{SEEN_WITH}.")

    def wait_for_all(letters: str) -> None:
        """See that the browser sends what it was seen to send."""
        for letter in letters if is_known else "":
            for target in attack.targets:
                mark = tag(number, letter, target)
                came = world.recorder(target).wait_for(mark)
                assert came, f"not sent from {ORIGINS[letter]}: {mark}"

    for letter in attack.sent or "S":
        attack_from(world, number, letter)
        if attack.is_tab and letter in attack.sent:
            wait_for_all(letter)  # in a hidden tab much is not done
    wait_for_all(attack.sent)
    for letter in ORIGINS:
        for target in attack.targets:
            for asked in world.recorder(target).of(tag(number, letter, target)):
                assert asked.status == 403, asked
    close_others(world)
    before, world.states[:] = world.states[0], [world.state()]
    assert world.states[0] == before
