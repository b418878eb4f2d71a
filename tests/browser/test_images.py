"""Images: what there is, what is inside and why, what may go."""

import re

import pytest
from playwright.sync_api import expect


@pytest.fixture(scope="module", autouse=True)
def images(site):
    for name in ("hello", "other", "shell/hello"):
        site.get(site.manifest_path(name))


def test_images_are_listed_found_and_copied(site, open_page):
    page = open_page("/images?by=name")
    names = page.locator("#images tbody .name")
    expect(
        names.filter(has_text=re.compile("^(hello|other|shell/hello)$"))
    ).to_have_count(3)
    listed = names.all_text_contents()
    assert listed == sorted(listed)
    page.get_by_label("Find").fill("other")
    expect(names.get_by_text("shell/hello", exact=True)).to_be_hidden()
    expect(names.get_by_text("other", exact=True)).to_be_visible()
    line = page.get_by_role("row").filter(has_text="other").locator("code")
    expect(line).to_have_text(f"docker run --rm localhost:{site.port}/other")


def test_an_image_is_a_picture_of_its_layers_and_says_why(open_page, shoot):
    page = open_page("/images/shell/hello:latest")
    cells = page.locator(".treemap rect:not(.part)")
    expect(cells.first).to_be_visible()
    rows = page.locator("table.layers tbody tr")
    assert cells.count() == rows.count()
    # The largest first, and what it shares in another shade.
    areas = [
        round(box["width"] * box["height"])
        for cell in cells.all()
        if (box := cell.bounding_box())
    ]
    assert areas == sorted(areas, reverse=True)
    assert page.locator(".treemap rect:not(.share0, .part)").count() > 0
    shoot(page, "image")
    rows.first.locator("summary").click()
    paths = rows.first.locator(".paths a")
    expect(paths.get_by_text(re.compile("-library-0.3$"))).to_be_visible()
    page.locator(".treemap a").filter(has_text="library-0.3: 9.00 MB").click()
    chain = page.locator(".chain li")
    expect(chain).to_have_count(2)
    expect(chain.nth(0)).to_contain_text("-hello-2.12")
    expect(chain.nth(1)).to_contain_text("-library-0.3")
    branch = (
        page.get_by_role("row").filter(has_text="hello-2.12").filter(has_text="paths")
    )
    expect(branch).to_contain_text("3 paths")
    page.get_by_text("Manifest", exact=True).click()
    expect(page.locator(".raw pre").last).to_contain_text('"schemaVersion": 2')
    expect(page.locator(".rows").get_by_text("now", exact=True)).to_be_visible()


def test_an_image_that_is_not_here_is_told_so(open_page, expected):
    expected.append("status of 404")
    page = open_page("/images/nothing/of/the/kind:latest")
    expect(page.get_by_role("heading")).to_have_text("There is no such image")


def test_what_is_pinned_stays_in_the_preview_and_what_is_removed_goes(open_page, shoot):
    page = open_page("/images/other:latest")
    page.get_by_role("button", name="Pin other:latest").click()
    expect(page.get_by_text("Pinned: it is never evicted.")).to_be_visible()
    expect(page.get_by_role("button", name="Remove other:latest")).to_be_disabled()
    page.get_by_role("link", name="Cache").click()
    page.get_by_label("Down to").fill("1 kB")
    page.get_by_role("button", name="What would go?").click()
    preview = page.locator("#preview + ul")
    expect(preview).to_contain_text("hello:latest")
    expect(preview).not_to_contain_text("other:latest")
    shoot(page, "cache")
    page.get_by_role("button", name="Unpin other:latest").click()
    expect(preview).to_contain_text("other:latest")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove other:latest").click()
    expect(page.get_by_role("link", name="other:latest")).to_have_count(0)
    page.get_by_label("Down to").fill("lots")
    page.get_by_role("button", name="What would go?").click()
    expect(page.locator("#problem")).to_contain_text("is not a size")


def test_the_network_is_switched_off_and_on(open_page):
    page = open_page("/cache")
    page.get_by_role("button", name="Go offline").click()
    expect(page.locator(".top").get_by_text("offline")).to_be_visible()
    page.get_by_role("button", name="Go online").click()
    expect(page.get_by_role("button", name="Go offline")).to_be_visible()
