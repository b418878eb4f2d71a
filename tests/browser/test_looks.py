"""All pages: readable in light, in dark and on a narrow screen, and by anybody."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

PAGES = [
    "/",
    "/images",
    "/images/hello:latest",
    "/compose?p=hello&with=1",
    "/failures",
    "/cache?size=1kB",
    "/builds/unknown",
]
NARROW = {"width": 380, "height": 780}


@pytest.fixture(scope="module", autouse=True)
def something_to_see(site):
    for name in ("hello", "other"):
        site.get(site.manifest_path(name))


def slug(path):
    name = path.strip("/").partition("?")[0].partition(":")[0]
    return name.replace("/", "-") or "start"


def faults(page):
    """Name what is a serious fault for some readers."""
    return [
        f"{fault['id']}: {node['html']}"
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in {"serious", "critical"}
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_for_everybody_by_day_by_night_and_on_a_phone(
    open_page, shoot, expected, path
):
    expected.append("status of 404")
    page = open_page(path, reduced_motion="reduce")
    shoot(page, f"{slug(path)}-light")
    assert not faults(page)
    page.emulate_media(color_scheme="dark")
    shoot(page, f"{slug(path)}-dark")
    assert not faults(page)
    page.set_viewport_size(NARROW)
    shoot(page, f"{slug(path)}-narrow")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_dark_is_dark(open_page):
    page = open_page("/")

    def ground(scheme):
        page.emulate_media(color_scheme=scheme)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.strip("rgb()").split(","))

    assert ground("dark") < 3 * 60 < 3 * 200 < ground("light")


def test_the_keyboard_reaches_the_content_first(open_page):
    page = open_page("/failures")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
