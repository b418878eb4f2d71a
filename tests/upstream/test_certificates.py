"""Private CAs, certificates believed unseen, client certificates: by real sockets."""

import ssl

import pytest
import trustme

from nixeryd.upstream import (
    UpstreamUnreachable,
    load_contexts,
    open_upstream,
)
from nixeryd.upstream.certificates import system_certificates
from tests.upstream.faults import FaultServer, Reply
from tests.upstream.fixtures import IMAGE

REPOSITORY = IMAGE.repository


class Company:
    """A CA, and what it issues, as files."""

    def __init__(self, place) -> None:
        self.authority = trustme.CA()
        self.ca = place / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        client = self.authority.issue_cert("laptop.corp")
        self.cert, self.key = place / "client.pem", place / "client.key"
        client.cert_chain_pems[0].write_to_path(self.cert)
        client.private_key_pem.write_to_path(self.key)
        self.both = place / "both.pem"
        client.private_key_and_cert_chain_pem.write_to_path(self.both)

    def server(self, backend=None, *, wants_client=False) -> FaultServer:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("127.0.0.1").configure_cert(context)
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            self.authority.configure_trust(context)
        return FaultServer(backend, context)


@pytest.fixture(scope="module")
def company(tmp_path_factory) -> Company:
    return Company(tmp_path_factory.mktemp("company"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Company:
    """Another CA, which nobody trusts."""
    return Company(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
async def harbor(company, registry, nursery) -> FaultServer:
    server = company.server(registry.port)
    await nursery.start(server.run)
    return server


@pytest.fixture
def pull(retry_policy):
    async def pull(server, **options) -> None:
        async with open_upstream(
            "harbor.corp",
            server.url,
            retry_policy=retry_policy,
            contexts=load_contexts(**options),
        ) as upstream:
            manifest = await upstream.get_manifest(REPOSITORY, "latest")
            assert str(manifest.digest) == IMAGE.digest

    return pull


async def test_a_private_ca_is_trusted_where_it_is_named(harbor, company, pull):
    with pytest.raises(UpstreamUnreachable, match="certificate not trusted"):
        await pull(harbor)
    await pull(harbor, ca=company.ca)


async def test_the_systems_store_still_counts_beside_it(
    harbor, company, stranger, pull, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(company.ca))
    await pull(harbor, ca=stranger.ca)


async def test_ssl_cert_file_is_honoured(harbor, company, pull, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(company.ca))
    system_certificates.cache_clear()
    try:
        await pull(harbor)
    finally:
        system_certificates.cache_clear()


async def test_an_insecure_one_is_believed_unseen(harbor, pull):
    await pull(harbor, insecure=True)


async def test_whom_an_insecure_one_leads_to_is_not(harbor, stranger, pull, nursery):
    storage = stranger.server()
    await nursery.start(storage.run)
    harbor.on("GET", Reply(307, {"Location": f"{storage.url}/x"}))
    with pytest.raises(UpstreamUnreachable, match="certificate not trusted"):
        await pull(harbor, insecure=True)
    assert storage.seen == []


async def test_a_ca_counts_for_whom_it_leads_to_as_well(
    harbor, company, registry, pull, nursery
):
    storage = company.server(registry.port)
    await nursery.start(storage.run)
    target = f"{storage.url}/v2/{REPOSITORY}/manifests/latest"
    harbor.on("GET", Reply(307, {"Location": target}))
    await pull(harbor, ca=company.ca)
    assert storage.count() == 1


@pytest.mark.parametrize("files", [("cert", "key"), ("both", None)])
async def test_a_client_certificate_is_shown(company, registry, pull, nursery, files):
    cert, key = (name and getattr(company, name) for name in files)
    harbor = company.server(registry.port, wants_client=True)
    await nursery.start(harbor.run)
    with pytest.raises(UpstreamUnreachable):
        await pull(harbor, ca=company.ca)
    await pull(harbor, ca=company.ca, cert=cert, key=key)


async def test_a_client_certificate_is_shown_to_nobody_else(
    harbor, company, pull, nursery
):
    storage = company.server(wants_client=True)
    await nursery.start(storage.run)
    harbor.on("GET", Reply(307, {"Location": f"{storage.url}/x"}))
    with pytest.raises(UpstreamUnreachable):
        await pull(harbor, ca=company.ca, cert=company.cert, key=company.key)
    assert storage.seen == []


def test_files_that_are_no_use_are_named(company, stranger, tmp_path):
    junk, none = tmp_path / "junk.pem", tmp_path / "none.pem"
    junk.write_text("no certificate\n")
    locked = tmp_path / "locked.key"
    locked.write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGHMA==\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    for options, said in (
        ({"ca": none}, f"ca: {none}: No such file"),
        ({"ca": junk}, f"ca: {junk} holds no certificate in PEM"),
        ({"cert": none}, f"cert: {none}: No such file"),
        ({"cert": company.cert, "key": none}, f"key: {none}: No such file"),
        ({"cert": junk}, f"cert: {junk} and the same file are no certificate"),
        ({"cert": company.cert, "key": stranger.key}, "are no certificate and its key"),
        ({"cert": company.cert, "key": locked}, "cert: |key: it is encrypted"),
    ):
        with pytest.raises(ValueError, match=said):
            load_contexts(**options)
