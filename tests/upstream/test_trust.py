import pytest
from hypothesis import given, strategies as st

from nixeryd.upstream.trust import (
    Locality,
    address_allowed,
    is_near,
    locality,
    realm_allowed,
    redirect_allowed,
    same_origin,
)

HUB = "https://registry-1.docker.io"


@pytest.mark.parametrize(
    ("realm", "upstream"),
    [
        ("https://auth.docker.io/token", HUB),
        ("https://ghcr.io/token", "https://ghcr.io"),
        ("https://quay.io/v2/auth", "https://quay.io"),
        ("https://gcr.io/v2/token", "https://gcr.io"),
        ("https://public.ecr.aws/token/", "https://public.ecr.aws"),
        ("https://docker-auth.elastic.co/auth", "https://docker.elastic.co"),
        # a host below, a host above
        ("https://auth.registry.example.org/", "https://registry.example.org"),
        ("https://gitlab.com/jwt/auth", "https://registry.gitlab.com"),
        # the same host on another port; a clear one stays a clear one
        ("http://127.0.0.1:5001/token", "http://127.0.0.1:5000"),
        ("https://localhost/token", "http://localhost:5000"),
        ("https://[::1]:8443/token", "https://[::1]"),
        ("https://GHCR.io/token", "https://ghcr.io"),
    ],
)
def test_realms_that_belong_to_the_upstream(realm, upstream):
    assert realm_allowed(realm, upstream)


@pytest.mark.parametrize(
    ("realm", "upstream"),
    [
        ("https://evil.test/token", HUB),
        ("https://auth.docker.io.evil.test/token", HUB),
        ("https://evil-docker.io/token", "https://docker.io"),
        ("https://evildocker.io/token", "https://docker.io"),
        # siblings may be anybody's
        ("https://good.co.uk/token", "https://evil.co.uk"),
        ("https://auth.example.org/token", "https://registry.example.org"),
        # a top-level domain is nobody's service
        ("https://io/token", "https://ghcr.io"),
        # in the clear
        ("http://auth.docker.io/token", HUB),
        ("http://ghcr.io/token", "https://ghcr.io"),
        # addresses and short names have no parts
        ("https://1.127.0.0.1/token", "https://127.0.0.1"),
        ("https://0.0.1/token", "https://127.0.0.1"),
        ("https://x.localhost/token", "https://localhost"),
        ("https://localhost/token", "https://127.0.0.1"),
        ("https://127.0.0.1/token", HUB),
        ("https://[::1]/token", "https://[::2]"),
        # two readers, two hosts
        ("https://auth.docker.io@evil.test/token", HUB),
        ("https://evil.test\\@auth.docker.io/token", HUB),
        ("https://evil.test\\.registry-1.docker.io/token", HUB),
        ("https://evil.test#.registry-1.docker.io/token", HUB),
        ("https://evil.test%2f.registry-1.docker.io/token", HUB),
        ("https://evil.test\t.registry-1.docker.io/token", HUB),
        ("https://auth.docker.io./token", HUB),
        ("https://\uff41uth.docker.io/token", HUB),
        ("//auth.docker.io/token", HUB),
        ("/token", HUB),
        ("ftp://auth.docker.io/token", HUB),
        ("https://auth.docker.io:99999/token", HUB),
        ("https://auth.docker.io:x/token", HUB),
        ("https://[::1/token", HUB),
        ("https:///token", HUB),
        ("", HUB),
        ("https://ghcr.io/token", ""),
    ],
)
def test_realms_that_do_not(realm, upstream):
    assert not realm_allowed(realm, upstream)


@given(st.text())
def test_no_realm_raises(realm):
    realm_allowed(realm, HUB)
    realm_allowed(f"https://{realm}", HUB)


@pytest.mark.parametrize(
    ("source", "target", "allowed"),
    [
        ("https://a.test/", "https://cdn.test/x?sig=%2F", True),
        ("http://a.test/", "https://a.test/", True),
        ("http://a.test/", "http://b.test/", True),
        ("https://a.test/", "http://a.test/", False),
        ("https://a.test/", "file:///etc/passwd", False),
        ("https://a.test/", "https://u:p@a.test/", False),
        ("https://a.test/", "", False),
        ("https://a.test/", "https://a.test:0/", False),
    ],
)
def test_where_a_redirect_may_go(source, target, allowed):
    assert redirect_allowed(source, target) is allowed


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.test/x", "https://a.test:443/y?z", True),
        ("http://a.test", "http://A.test:80/", True),
        ("http://a.test", "https://a.test", False),
        ("http://a.test", "http://a.test:8080", False),
        ("http://a.test", "http://b.test", False),
        ("", "", False),
    ],
)
def test_origins(one, other, same):
    assert same_origin(one, other) is same


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("127.0.0.1", Locality.LOOPBACK),
        ("127.8.8.8", Locality.LOOPBACK),
        ("::1", Locality.LOOPBACK),
        ("0.0.0.0", Locality.LOOPBACK),
        ("::", Locality.LOOPBACK),
        ("::ffff:127.0.0.1", Locality.LOOPBACK),
        ("64:ff9b::7f00:1", Locality.LOOPBACK),
        ("2002:7f00:1::", Locality.LOOPBACK),
        ("169.254.169.254", Locality.LINK_LOCAL),
        ("fe80::1%eth0", Locality.LINK_LOCAL),
        ("10.0.0.1", Locality.PRIVATE),
        ("172.31.255.255", Locality.PRIVATE),
        ("192.168.0.1", Locality.PRIVATE),
        ("100.64.0.1", Locality.PRIVATE),
        ("fd12::1", Locality.PRIVATE),
        ("224.0.0.1", Locality.PRIVATE),
        ("255.255.255.255", Locality.PRIVATE),
        ("::ffff:10.0.0.1", Locality.PRIVATE),
        ("172.32.0.1", Locality.GLOBAL),
        ("8.8.8.8", Locality.GLOBAL),
        ("::ffff:8.8.8.8", Locality.GLOBAL),
        ("64:ff9b::808:808", Locality.GLOBAL),
        ("2606:4700::1", Locality.GLOBAL),
    ],
)
def test_how_near_an_address_is(address, where):
    assert locality(address) is where


def test_a_name_has_no_locality():
    with pytest.raises(ValueError, match="localhost"):
        locality("localhost")


@pytest.mark.parametrize(
    ("address", "home", "allowed"),
    [
        ("8.8.8.8", None, True),
        ("8.8.8.8", Locality.LOOPBACK, True),
        ("127.0.0.1", Locality.LOOPBACK, True),
        ("127.0.0.1", Locality.PRIVATE, False),
        ("127.0.0.1", Locality.GLOBAL, False),
        ("10.0.0.1", Locality.PRIVATE, True),
        ("10.0.0.1", Locality.LOOPBACK, False),
        ("10.0.0.1", Locality.GLOBAL, False),
        ("169.254.169.254", Locality.PRIVATE, False),
        ("10.0.0.1", None, False),
    ],
)
def test_an_upstream_leads_outside_or_to_where_it_is(address, home, allowed):
    assert address_allowed(address, home) is allowed


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://127.0.0.1:5000", True),
        ("http://[::1]:5000", True),
        ("http://localhost:5000", True),
        ("https://192.168.1.2", True),
        ("https://nas", True),
        ("https://registry.local", True),
        ("https://registry.internal", True),
        ("https://a.localhost:5000", True),
        ("https://registry-1.docker.io", False),
        ("https://8.8.8.8", False),
        ("nonsense", True),
    ],
)
def test_what_is_near(url, near):
    assert is_near(url) is near
