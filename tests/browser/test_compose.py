"""From packages to a line to paste, with the keyboard alone."""

from playwright.sync_api import expect


def test_packages_become_a_command(site, open_page, shoot):
    page = open_page("/compose", permissions=["clipboard-read", "clipboard-write"])
    box = page.get_by_label("Add a package")
    expect(box).to_be_focused()
    page.keyboard.type("hello")
    page.keyboard.press("Enter")
    expect(page.get_by_role("listitem").get_by_text("hello")).to_be_visible()
    expect(box).to_be_focused()
    page.keyboard.type("bashInteractive other")
    page.keyboard.press("Enter")
    command = page.locator(".command code")
    line = f"localhost:{site.port}/shell/hello/bashinteractive/other"
    expect(command).to_have_text(f"docker run -it --rm {line}")
    page.get_by_role("button", name="Remove bashinteractive").click()
    page.get_by_label("With a shell").uncheck()
    line = f"docker run --rm localhost:{site.port}/hello/other"
    expect(command).to_have_text(line)
    shoot(page, "compose")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == line
    page.get_by_label("Tag").fill("v1.0")
    page.get_by_label("Tag").press("Enter")
    expect(command).to_have_text(line + ":v1.0")


def test_what_is_no_name_is_explained(open_page):
    page = open_page("/compose")
    page.keyboard.type("not_-a_name")
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_contain_text("is no part of a repository name")
    expect(page.locator(".command")).to_have_count(0)


def test_names_are_suggested_while_they_are_typed(open_page, shoot):
    page = open_page("/compose")
    page.keyboard.type("librar")
    option = page.get_by_role("option", name="library")
    expect(option).to_be_visible()
    expect(page.get_by_label("Add a package")).to_have_attribute(
        "aria-expanded", "true"
    )
    shoot(page, "suggestions")
    page.keyboard.press("ArrowDown")
    expect(option).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Remove library")).to_be_visible()
    expect(page.locator(".command code")).to_contain_text("/shell/library")


def test_the_size_of_what_is_here_is_told(site, open_page):
    site.get(site.manifest_path("hello"))
    page = open_page("/compose?with=1&p=hello")
    expect(page.locator(".meta")).to_contain_text("12.5 MB")
    page.get_by_role("link", name="what is inside").click()
    expect(page.get_by_role("heading", name="hello")).to_be_visible()
