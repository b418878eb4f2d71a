import os

import pytest

from nixeryd.config.networking import Network, Upstream
from nixeryd.config.settings import Settings
from nixeryd.doctor.findings import Level
from nixeryd.doctor.network import (
    check_security,
    check_upstreams,
    check_way,
    environment_of,
)
from tests.upstream.faults import FaultServer, Reply
from tests.upstream.proxy import ProxyServer


@pytest.fixture
async def registry(nursery) -> FaultServer:
    server = FaultServer()
    await nursery.start(server.run)
    return server


@pytest.fixture
def only_ours(monkeypatch):
    """No well-known registries: tests talk to this machine only."""
    monkeypatch.setattr("nixeryd.config.settings._READY_UPSTREAMS", ())


def configure(url: str, **options) -> Settings:
    network = Network(proxy=options.pop("proxy", ""))
    upstreams = {"r.test": Upstream(url=url, **options)}
    return Settings(upstreams=upstreams, network=network)


WANTED = {"WWW-Authenticate": 'Basic realm="r"'}


@pytest.mark.parametrize(
    ("status", "level", "text"),
    [
        (200, Level.OK, "r.test answers"),
        (401, Level.OK, "r.test answers, and wants a login"),
        (404, Level.NOTE, "is 404, as at no registry"),
        (500, Level.NOTE, "r.test: answered 500 for /v2/"),
    ],
)
async def test_a_registry_is_told_from_what_is_none(
    registry, only_ours, status, level, text
):
    registry.on("GET /v2/$", Reply(status, WANTED if status == 401 else {}))
    (finding,) = await check_upstreams(configure(registry.url), {})
    assert finding.level is level
    assert text in finding.text


async def test_what_is_not_there_is_a_note_with_a_reason(only_ours):
    (finding,) = await check_upstreams(configure("http://127.0.0.1:1"), {})
    assert finding.level is Level.NOTE
    assert "cannot be reached" in finding.text


async def test_a_login_is_tried(registry, only_ours, tmp_path):
    registry.on("GET /v2/$", Reply(401, WANTED))
    file = tmp_path / "password"
    file.write_text("hush\n")
    settings = configure(registry.url, username="me", password_file=str(file))
    (finding,) = await check_upstreams(settings, {})
    assert "does not let us in with the login for it" in finding.text
    assert "authorization" in registry.seen[-1].headers


async def test_they_are_asked_as_the_daemon_does(registry, only_ours, nursery):
    registry.on("GET /v2/$", Reply())
    proxy = ProxyServer({"r.test:80": registry.port})
    await nursery.start(proxy.run)
    by_environment = configure("http://r.test")
    (finding,) = await check_upstreams(by_environment, {"HTTP_PROXY": proxy.url})
    by_settings = configure("http://r.test", proxy=proxy.url)
    (other,) = await check_upstreams(by_settings, {})
    assert finding.level is other.level is Level.OK
    assert proxy.asked == ["GET http://r.test/v2/"] * 2


async def test_a_proxy_that_cannot_be_read_is_a_note(only_ours):
    (finding,) = await check_upstreams(configure(""), {"HTTPS_PROXY": "ftp://a:hush@b"})
    assert "HTTPS_PROXY: ftp:// is none of" in finding.text
    assert "hush" not in finding.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "https://r.test"}, []),
        ({"url": "http://127.0.0.1:1"}, []),
        ({"url": "http://r.test"}, ["r.test is asked without encryption"]),
        ({"url": "", "insecure": True}, ["r.test is believed whatever certificate"]),
    ],
)
def test_what_is_not_safe_is_said_unasked(options, said):
    found = list(check_security(configure(**options)))
    assert len(found) == len(said)
    for finding, text in zip(found, said, strict=True):
        assert finding.level is Level.NOTE
        assert finding.text.startswith(text)


def test_a_password_that_others_can_read_is_said(tmp_path):
    file = tmp_path / "password"
    file.write_text("hush\n")
    file.chmod(0o600)
    settings = configure("", username="me", password_file=str(file))
    assert list(check_security(settings)) == []
    file.chmod(0o644)
    (finding,) = check_security(settings)
    assert finding.advice == f"chmod 600 {file}"
    file.unlink()
    (finding,) = check_security(settings)
    assert "No such file" in finding.text


@pytest.mark.parametrize(
    ("daemon", "ours", "said"),
    [
        (None, {"HTTPS_PROXY": "p:1"}, ""),
        ({}, {}, ""),
        ({"https_proxy": "p:1"}, {"HTTPS_PROXY": "p:1"}, ""),
        ({}, {"HTTPS_PROXY": "p:1", "no_proxy": "a"}, "another HTTPS_PROXY, NO_PROXY"),
        ({"SSL_CERT_FILE": "/a"}, {}, "another SSL_CERT_FILE"),
    ],
)
def test_a_daemon_that_goes_another_way_is_told(daemon, ours, said):
    found = [one.text for one in check_way(Settings(), daemon, ours)]
    assert len(found) == bool(said)
    assert said in "".join(found)


def test_a_configured_proxy_is_shown_without_its_password():
    (finding,) = check_way(configure("", proxy="http://me:hush@p.test:1"), None, {})
    assert (finding.level, finding.text) == (Level.OK, "http://p.test:1")


def test_the_environment_of_a_process_is_read_where_it_is_told():
    told = environment_of(os.getpid())
    assert told is not None
    assert "PATH" in told
    assert environment_of(2**22 + 1) is None
