"""The upstreams of a configuration, and whose name is used there."""

import base64
import json

import pytest
import structlog

from nixeryd.config import ConfigError, Settings, Upstream
from nixeryd.mirror.sources import open_upstreams
from nixeryd.upstream import UpstreamDenied
from tests.upstream.faults import FaultServer
from tests.upstream.fixtures import IMAGE
from tests.upstream.registries import PASSWORD, USER

NAME = "private.test"


@pytest.fixture
async def private(private_registry, nursery) -> FaultServer:
    server = FaultServer(private_registry.port)
    await nursery.start(server.run)
    return server


def configure(url: str, credentials: str = "anonymous") -> Settings:
    upstream = Upstream(url=url, credentials=credentials)
    return Settings(upstreams={NAME: upstream})


async def pull(settings: Settings, pace) -> None:
    async with open_upstreams(settings, pace) as upstreams:
        await upstreams.clients[NAME].get_manifest(IMAGE.repository, "latest")


async def test_the_well_known_ones_are_open_and_nothing_is_asked(faults, pace):
    async with open_upstreams(configure(faults.url), pace) as upstreams:
        assert {"docker.io", "ghcr.io", NAME} <= upstreams.clients.keys()
        assert upstreams.clients["docker.io"].url == "https://registry-1.docker.io"
        assert upstreams.via.startswith("nixeryd-")
    assert faults.connections == 0


async def test_a_url_that_is_none_is_an_error_of_the_configuration(pace):
    with pytest.raises(ConfigError, match=rf"\[upstreams\.'{NAME}'\]: .*url"):
        async with open_upstreams(configure("ftp://x"), pace):
            pass


async def test_what_docker_login_stored_is_used_if_it_is_wanted(
    tmp_path, private, pace, monkeypatch
):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    stored = {"auths": {NAME: {"auth": auth}}}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    await pull(configure(private.url, "docker"), pace)
    with pytest.raises(UpstreamDenied):
        await pull(configure(private.url), pace)


@pytest.mark.parametrize("script", [None, "exit 1", "echo nonsense"])
async def test_a_helper_that_fails_is_logged_and_means_nobody(
    tmp_path, private, pace, monkeypatch, script
):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "config.json").write_text('{"credsStore": "broken"}')
    if script is not None:
        helper = tmp_path / "docker-credential-broken"
        helper.write_text(f"#!/bin/sh\n{script}\n")
        helper.chmod(0o755)
    with structlog.testing.capture_logs() as logs, pytest.raises(UpstreamDenied):
        await pull(configure(private.url, "docker"), pace)
    assert [entry["upstream"] for entry in logs] == [NAME]
