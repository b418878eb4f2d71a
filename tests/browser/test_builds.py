"""Builds, as somebody sees them who has the page open."""

import re

from playwright.sync_api import expect


def test_a_build_is_watched_live_to_its_end(site, open_page, shoot):
    page = open_page("/")
    expect(page.get_by_text("Nothing is being built")).to_be_visible()
    with site.building("watched") as builder:
        card = page.locator(".card.running")
        expect(card.get_by_role("link", name="watched")).to_be_visible()
        expect(card.get_by_text("docker waits")).to_be_visible()
        row = card.get_by_role("row", name=re.compile("watched-1.0 build"))
        expect(row).to_be_visible()
        expect(card.get_by_role("progressbar", name="Builds")).to_have_attribute(
            "max", re.compile("[1-9]")
        )
        card.get_by_text("Log", exact=True).click()
        log = card.get_by_role("log")
        builder.say("checking for <b>gcc</b>")
        expect(log.get_by_text("watched-1.0> checking for <b>gcc</b>")).to_be_visible()
        builder.say("compiling main.c")
        expect(log.get_by_text("compiling main.c")).to_be_visible()
        card.get_by_label("Search").fill("COMPIL")
        expect(log.get_by_text("checking")).to_be_hidden()
        expect(log.get_by_text("compiling")).to_be_visible()
        expect(card.get_by_text("1 of 2 lines")).to_be_visible()
        builder.say("compiling more.c")
        expect(card.get_by_text("2 of 3 lines")).to_be_visible()
        shoot(page, "now")
    expect(page.get_by_text("Nothing is being built")).to_be_visible()
    expect(page.locator("#told")).to_have_text("No build runs")
    page.locator(".rows").get_by_role("link", name="watched").click()
    expect(page.get_by_text("Done.")).to_be_visible()
    expect(page.get_by_role("log").get_by_text("compiling more.c")).to_be_visible()
    expect(page.locator("#live")).to_have_text("ended")
    command = page.locator(".command code")
    expect(command).to_have_text(f"docker run --rm localhost:{site.port}/watched")
    page.get_by_text("podman", exact=True).click()
    expect(command).to_have_text(
        f"podman run --rm --tls-verify=false localhost:{site.port}/watched"
    )


def test_a_build_that_fails_is_kept_with_its_message_and_log(site, open_page, shoot):
    page = open_page("/compose?p=broken&with=1")
    page.get_by_role("button", name="Build it now").click()
    expect(page).to_have_url(site.url + "/")
    page.locator(".rows").get_by_role("link", name="broken").first.click()
    expect(page.locator(".bad-box")).to_contain_text("no compiler found")
    expect(page.get_by_role("log")).to_contain_text("<img src=x onerror=alert(1)>")
    page.get_by_role("link", name="Failures").click()
    page.get_by_role("link", name="broken").first.click()
    expect(page.locator(".bad-box")).to_contain_text("building broken-1.0 failed")
    page.get_by_label("Search").fill("compiler")
    expect(page.get_by_text("1 of 3 lines")).to_be_visible()
    shoot(page, "failure")
    page.get_by_role("button", name="Try again").click()
    expect(page).to_have_url(site.url + "/")


def test_a_flood_of_lines_neither_freezes_the_page_nor_fills_it(site, open_page):
    page = open_page("/")
    with site.pulling("flood"):
        pass
    page.locator(".rows").get_by_role("link", name="flood").click()
    log = page.get_by_role("log")
    expect(log.get_by_text("flood-1.0> 7000", exact=True)).to_be_visible()
    expect(log.locator(".gap")).to_contain_text("lines are left out here")
    assert log.locator("div").count() <= 5000
    page.get_by_label("Search").fill("> 6999")
    expect(log.get_by_text("flood-1.0> 6999")).to_be_visible()


def test_the_page_comes_back_with_the_daemon(site, open_page, expected):
    expected += ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING"]
    page = open_page("/")
    light = page.locator("#live")
    expect(light).to_have_text("live")
    site.stop()
    expect(light).to_have_text("reconnecting")
    site.start()
    expect(light).to_have_text("live")
    with site.building("restarted"):
        expect(page.locator(".card.running")).to_contain_text("restarted")
    page.get_by_role("link", name="Failures").click()
    expect(page.get_by_role("link", name="broken").first).to_be_visible()
