import base64
import json
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nixeryd.upstream import anonymous, credentials, docker_login
from nixeryd.upstream.credentials import HUB_KEY, Login

JOE = base64.b64encode(b"joe:pass:word").decode()


@pytest.fixture
def write_config(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def write(config: object) -> None:
        text = config if isinstance(config, str) else json.dumps(config)
        (tmp_path / "config.json").write_text(text)

    return write


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """Put a docker-credential-test on the PATH: a shell script with this body."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def install(body: str) -> Path:
        script = tmp_path / "docker-credential-test"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(stat.S_IRWXU)
        return script

    return install


async def test_anonymous_is_nobody():
    assert await anonymous() is None


@pytest.mark.parametrize(
    ("registry", "key", "entry", "login"),
    [
        ("ghcr.io", "ghcr.io", {"auth": JOE}, Login("joe", "pass:word")),
        ("ghcr.io", "https://ghcr.io/v2/", {"auth": JOE}, Login("joe", "pass:word")),
        ("docker.io", HUB_KEY, {"auth": JOE}, Login("joe", "pass:word")),
        ("docker.io", "docker.io", {"auth": JOE}, Login("joe", "pass:word")),
        ("h:5000", "h:5000", {"username": "a", "password": "b"}, Login("a", "b")),
        ("h", "h", {"identitytoken": "t"}, Login(identity_token="t")),
        ("h", "h", {}, None),
        ("h", "h", {"auth": "%%%"}, None),
        ("h", "h", {"auth": "/w=="}, None),
        ("h", "h", {"auth": 7}, None),
        ("h", "h", [], None),
        ("h", "h:5000", {"auth": JOE}, None),
        ("index.evil.io", HUB_KEY, {"auth": JOE}, None),
    ],
)
async def test_a_stored_login_is_found(write_config, registry, key, entry, login):
    write_config({"auths": {"other": {"auth": "eDp5"}, key: entry}})
    assert await docker_login(registry)() == login


async def test_a_new_login_needs_no_restart(write_config):
    look_up = docker_login("ghcr.io")
    write_config({})
    assert await look_up() is None
    write_config({"auths": {"ghcr.io": {"auth": JOE}}})
    assert await look_up() == Login("joe", "pass:word")


async def test_without_a_config_one_is_nobody(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    with capture_logs() as logs:
        assert await docker_login("ghcr.io")() is None
    assert logs == []


async def test_the_config_is_in_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".docker").mkdir()
    config = {"auths": {"ghcr.io": {"auth": JOE}}}
    (tmp_path / ".docker" / "config.json").write_text(json.dumps(config))
    assert await docker_login("ghcr.io")() == Login("joe", "pass:word")


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": []}', "[" * 99_999, "\x00"])
async def test_a_broken_config_means_nobody(write_config, text):
    write_config(text)
    assert await docker_login("ghcr.io")() is None


async def test_a_helper_is_asked_for_the_registry(write_config, helper, tmp_path):
    write_config({"credHelpers": {"ghcr.io": "test"}, "credsStore": "missing"})
    helper(
        f'echo "$1" >{tmp_path}/asked; cat >>{tmp_path}/asked\n'
        """echo '{"ServerURL":"x","Username":"joe","Secret":"s3cret"}'"""
    )
    assert await docker_login("ghcr.io")() == Login("joe", "s3cret")
    assert (tmp_path / "asked").read_text() == "get\nghcr.io"


async def test_the_store_is_asked_for_docker_hub_by_its_old_address(
    write_config, helper, tmp_path
):
    write_config({"credsStore": "test", "auths": {HUB_KEY: {}}})
    helper(
        f"cat >{tmp_path}/asked\n"
        """echo '{"Username":"<token>","Secret":"refresh-me"}'"""
    )
    assert await docker_login("docker.io")() == Login(identity_token="refresh-me")
    assert (tmp_path / "asked").read_text() == HUB_KEY


@pytest.mark.parametrize(
    ("body", "event"),
    [
        ("echo hush-hush; exit 1", "the credential helper failed"),
        ("echo hush-hush", "the credential helper's answer is no JSON"),
        ("echo '[\"hush-hush\"]'", "the credential helper's answer is no JSON"),
        ("""echo '{"Username":"joe"}'""", "the credential helper's answer is no JSON"),
        ("kill -9 $$", "the credential helper failed"),
    ],
)
async def test_a_helper_that_fails_means_nobody(write_config, helper, body, event):
    write_config({"credsStore": "test", "auths": {"ghcr.io": {"auth": JOE}}})
    helper(body)
    with capture_logs() as logs:
        assert await docker_login("ghcr.io")() is None
    (entry,) = logs
    assert entry["event"].startswith(event)
    assert (entry["upstream"], entry["helper"]) == ("ghcr.io", "test")
    assert "hush" not in repr(logs)


@pytest.mark.parametrize("name", ["no-such-helper", "../evil", "a/b", "", 7, None])
async def test_a_helper_that_is_not_there_means_nobody(write_config, helper, name):
    write_config({"credHelpers": {"ghcr.io": name}})
    assert await docker_login("ghcr.io")() is None


async def test_an_empty_secret_means_nobody(write_config, helper):
    write_config({"credsStore": "test"})
    helper("""echo '{"Username":"joe","Secret":""}'""")
    assert await docker_login("ghcr.io")() is None


async def test_a_helper_that_hangs_is_ended(
    write_config, helper, tmp_path, monkeypatch
):
    monkeypatch.setattr(credentials, "HELPER_PATIENCE", 0)
    write_config({"credsStore": "test"})
    helper("exec sleep 1000")
    with capture_logs() as logs:
        assert await docker_login("ghcr.io")() is None
    assert logs[0]["event"] == "the credential helper did not answer"


def test_secrets_have_no_repr():
    shown = repr(Login("joe", "hush-hush", "hush-hush"))
    assert "hush" not in shown


def test_a_login_without_a_password_is_no_basic():
    assert Login(identity_token="t").basic is None
    assert Login("a", "b").basic == "Basic YTpi"
