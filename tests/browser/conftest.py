"""A real browser before a real daemon: one of each for all tests of this package.

Every page that a test opens is watched: an error in the console, an exception, or
a request to anywhere but the daemon fails the test. `shoot` keeps pictures for
people to look at (`make screenshots`).
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.site import Site
from tests.e2e.conftest import need

REBOUND = ("evil.example", "host.docker.internal")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--disable-quic",
    "--disable-sync",
    f"--host-resolver-rules={','.join(f'MAP {name} 127.0.0.1' for name in REBOUND)}",
)
CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    need("chromium")
    # Only for this package: the driver runs an asyncio loop in this thread.
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def site(tmp_path_factory) -> Iterator[Site]:
    need("nix-instantiate")
    site = Site(tmp_path_factory.mktemp("site"))
    site.start()
    yield site
    site.stop()


@pytest.fixture
def expected() -> list[str]:
    """Parts of console messages that a test provokes."""
    return []


@pytest.fixture
def open_page(
    browser: Browser, site: Site, expected: list[str]
) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a path of the daemon in a fresh profile."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def note(text: str) -> None:
        if not any(part in text for part in expected):
            wrong.append(text)

    def open_page(path: str = "/", **options: object) -> Page:
        options.setdefault("viewport", {"width": 1100, "height": 850})
        context = browser.new_context(**options)
        context.set_default_timeout(60_000)
        contexts.append(context)
        context.on(
            "console",
            lambda message: (
                note(f"{message.type}: {message.text}")
                if message.type in {"error", "warning"}
                else None
            ),
        )
        context.on("weberror", lambda error: note(f"exception: {error.error}"))
        context.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(site.url + "/")
                else note(f"request: {request.url}")
            ),
        )
        page = context.new_page()
        page.goto(site.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def shoot() -> Callable[[Page, str], None]:
    """Return a function that keeps a picture, if anybody wants to see it."""
    directory = os.environ.get("NIXERYD_SCREENSHOTS")

    def shoot(page: Page, name: str) -> None:
        if directory:
            Path(directory).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{directory}/{name}.png")

    return shoot
