"""The upstreams of a configuration, and whose name is used there."""

import base64
import json
import ssl

import pytest
import structlog
import trio
import trustme

from nixeryd.config.networking import Network
from nixeryd.config.settings import ConfigError, Settings, Upstream
from nixeryd.mirror.sources import OpenUpstreams, open_upstreams
from nixeryd.upstream import UpstreamBroken, UpstreamDenied
from tests.upstream.faults import FaultServer, Reply
from tests.upstream.fixtures import IMAGE
from tests.upstream.proxy import ProxyServer
from tests.upstream.registries import PASSWORD, USER

NAME = "private.test"


@pytest.fixture
async def private(private_registry, nursery) -> FaultServer:
    server = FaultServer(private_registry.port)
    await nursery.start(server.run)
    return server


def configure(url: str, credentials: str = "anonymous", **options) -> Settings:
    upstream = Upstream(url=url, credentials=credentials, **options)
    return Settings(upstreams={NAME: upstream})


async def pull(settings: Settings, retry_policy) -> None:
    async with open_upstreams(settings, retry_policy) as upstreams:
        await upstreams.clients[NAME].get_manifest(IMAGE.repository, "latest")


async def test_the_well_known_ones_are_open_and_nothing_is_asked(faults, retry_policy):
    async with open_upstreams(configure(faults.url), retry_policy) as upstreams:
        assert {"docker.io", "ghcr.io", NAME} <= upstreams.clients.keys()
        assert upstreams.clients["docker.io"].url == "https://registry-1.docker.io"
        assert upstreams.via.startswith("nixeryd-")
    assert faults.connections == 0


async def test_a_url_that_is_none_is_an_error_of_the_configuration(retry_policy):
    with pytest.raises(ConfigError, match=rf"\[upstreams\.'{NAME}'\]: .*url"):
        async with open_upstreams(configure("ftp://x"), retry_policy):
            pass


async def test_what_docker_login_stored_is_used_if_it_is_wanted(
    tmp_path, private, retry_policy, monkeypatch
):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    stored = {"auths": {NAME: {"auth": auth}}}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    await pull(configure(private.url, "docker"), retry_policy)
    with pytest.raises(UpstreamDenied):
        await pull(configure(private.url), retry_policy)


@pytest.mark.parametrize("script", [None, "exit 1", "echo nonsense"])
async def test_a_helper_that_fails_is_logged_and_means_nobody(
    tmp_path, private, retry_policy, monkeypatch, script
):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "config.json").write_text('{"credsStore": "broken"}')
    if script is not None:
        helper = tmp_path / "docker-credential-broken"
        helper.write_text(f"#!/bin/sh\n{script}\n")
        helper.chmod(0o755)
    with structlog.testing.capture_logs() as logs, pytest.raises(UpstreamDenied):
        await pull(configure(private.url, "docker"), retry_policy)
    assert [entry["upstream"] for entry in logs] == [NAME]


@pytest.fixture
def password_file(tmp_path):
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return file


async def test_a_password_file_is_read_each_time(private, retry_policy, password_file):
    settings = configure(private.url, username=USER, password_file=str(password_file))
    await pull(settings, retry_policy)
    for text, said in (
        ("wrong\n", "private, or not there"),
        ("\n", "is empty"),
        (None, "cannot be read: No such file"),
    ):
        if text is None:
            password_file.unlink()
        else:
            password_file.write_text(text)
        with pytest.raises(UpstreamDenied, match=said):
            await pull(settings, retry_policy)


async def test_a_credential_helper_of_its_own_is_asked(
    tmp_path, private, retry_policy, monkeypatch
):
    helper = tmp_path / "docker-credential-corp"
    answer = json.dumps({"Username": USER, "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\n[ \"$(cat)\" = {NAME} ] && echo '{answer}'\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    settings = configure(private.url, credential_helper="corp")
    await pull(settings, retry_policy)
    helper.unlink()
    with pytest.raises(UpstreamDenied, match="docker-credential-corp gives no login"):
        await pull(settings, retry_policy)


async def test_a_password_of_a_file_goes_to_the_token_service(
    faults, realm, retry_policy, password_file
):
    realm.login = (USER, PASSWORD)
    faults.on("/v2/", realm.gate)
    with pytest.raises(UpstreamDenied):
        await pull(configure(faults.url), retry_policy)
    options = {"username": USER, "password_file": str(password_file)}
    await pull(configure(faults.url, **options), retry_policy)
    assert PASSWORD not in str(faults.seen)


async def test_a_private_registry_behind_tls_and_a_proxy(
    private_registry, retry_policy, nursery, tmp_path, password_file
):
    """All of it at once, from the settings: Debian's registry, as a company has it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(NAME).configure_cert(context)
    front = FaultServer(private_registry.port, context)
    await nursery.start(front.run)
    proxy = ProxyServer({f"{NAME}:443": front.port}, login=("me", "hush"))
    await nursery.start(proxy.run)
    settings = Settings(
        network=Network(proxy=proxy.url_for("me", "hush")),
        upstreams={
            NAME: Upstream(
                ca=str(tmp_path / "ca.pem"),
                username=USER,
                password_file=str(password_file),
            )
        },
    )
    await pull(settings, retry_policy)
    assert proxy.asked == [f"CONNECT {NAME}:443"]


async def test_retries_are_what_is_set(faults):
    faults.on("", Reply(503, {"Retry-After": "0"}))
    settings = Settings(
        network=Network(retries=4), upstreams={NAME: Upstream(url=faults.url)}
    )
    with pytest.raises(UpstreamBroken, match="503"):
        await pull(settings, None)
    assert faults.count() == 5


def test_a_file_that_cannot_be_read_is_an_error_of_the_configuration():
    settings = Settings(upstreams={NAME: Upstream(ca="/nowhere/ca.pem")})

    async def opened():
        async with open_upstreams(settings):
            pass

    with pytest.raises(ConfigError, match=rf"\[upstreams\.'{NAME}'\]: ca: /nowhere"):
        trio.run(opened)


async def test_a_client_stays_as_long_as_it_is_configured_as_it_was(
    faults, retry_policy
):
    """What it knows stays with it: logins, and what is left of a quota."""
    async with OpenUpstreams(retry_policy) as opened:
        first = await opened.open(configure(faults.url))
        second = await opened.open(configure(f"{faults.url}/"))
        assert second.via == first.via
        assert second.clients["docker.io"] is first.clients["docker.io"]
        assert second.clients[NAME] is not first.clients[NAME]
        with pytest.raises(ConfigError, match="url"):
            await opened.open(configure("ftp://x"))
        # Who asks one that is not configured any more is still answered.
        await first.clients[NAME].get_manifest(IMAGE.repository, "latest")
        third = await opened.open(configure(faults.url))
        assert third.clients[NAME] is first.clients[NAME]
