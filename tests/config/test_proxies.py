import pytest

from nixeryd.config.proxies import (
    Proxies,
    Proxy,
    as_environment,
    choose_proxies,
    parse_exceptions,
    parse_proxy,
)

# What Go's httpproxy and curl take for an exception: NO_PROXY, host, port.
DIRECT = [
    ("", "localhost", 80),
    ("", "hub.localhost", 80),
    ("", "127.0.0.1", 80),
    ("", "127.8.8.8", 80),
    ("", "[::1]", 80),
    ("", "::ffff:127.0.0.1", 80),
    ("*", "hub.test", 443),
    ("hub.test", "hub.test", 443),
    ("hub.test", "HUB.test", 443),
    ("hub.test", "hub.test.", 443),
    ("hub.test", "a.b.hub.test", 443),
    ("HUB.TEST", "hub.test", 443),
    (".hub.test", "a.hub.test", 443),
    ("*.hub.test", "a.hub.test", 443),
    ("a.test, hub.test", "hub.test", 443),
    ("a.test hub.test", "hub.test", 443),
    ("hub.test:5000", "hub.test", 5000),
    (".hub.test:5000", "a.hub.test", 5000),
    ("10.0.0.1", "10.0.0.1", 443),
    ("10.0.0.1:5000", "10.0.0.1", 5000),
    ("10.0.0.0/8", "10.9.9.9", 443),
    ("10.1.2.3/8", "10.9.9.9", 443),
    ("2001:db8::/32", "[2001:db8::1]", 443),
    ("2001:db8::1", "2001:db8:0::1", 443),
    ("[2001:db8::1]:5000", "2001:db8::1", 5000),
    ("[2001:db8::1]", "2001:db8::1", 443),
]
THROUGH_IT = [
    ("", "hub.test", 443),
    ("", "nolocalhost", 80),
    ("", "10.0.0.1", 80),
    (",", "hub.test", 443),
    ("hub.test", "nothub.test", 443),
    ("hub.test", "hub.test.evil.test", 443),
    (".hub.test", "hub.test", 443),
    ("*.hub.test", "hub.test", 443),
    ("hub.test:5000", "hub.test", 443),
    ("10.0.0.0/8", "11.0.0.1", 443),
    ("10.0.0.0/8", "hub.test", 443),
    ("10.0.0.0/8", "2001:db8::1", 443),
    ("10.0.0.1", "10.0.0.10", 443),
    ("10.0.0.0/99", "10.0.0.1", 443),
    ("a/b", "a", 443),
    (".", "hub.test", 443),
    (":443", "hub.test", 443),
]


@pytest.mark.parametrize(("no_proxy", "host", "port"), DIRECT)
def test_a_host_that_no_proxy_names_is_asked_directly(no_proxy, host, port):
    assert parse_exceptions([no_proxy]).include(host, port)


@pytest.mark.parametrize(("no_proxy", "host", "port"), THROUGH_IT)
def test_any_other_host_is_asked_through_the_proxy(no_proxy, host, port):
    assert not parse_exceptions([no_proxy]).include(host, port)


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://p.test:3128", Proxy("http", "p.test", 3128)),
        ("p.test:3128", Proxy("http", "p.test", 3128)),
        ("p.test", Proxy("http", "p.test", 80)),
        ("https://P.test/", Proxy("https", "p.test", 443)),
        ("socks5://[::1]", Proxy("socks5", "::1", 1080)),
        ("socks5h://p.test", Proxy("socks5", "p.test", 1080)),
        ("http://me:p%40ss%3A@p.test:1", Proxy("http", "p.test", 1, "me", "p@ss:")),
        ("me@p.test:1", Proxy("http", "p.test", 1, "me")),
    ],
)
def test_a_proxy_is_read_as_curl_reads_it(text, proxy):
    assert parse_proxy(text) == proxy


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ftp://me:hush@p.test", "ftp:// is none of http, https, socks5"),
        ("http://me:hush@", "write it as http://HOST:PORT"),
        ("http://me:hush@p.test:x", "its port is no number"),
        ("http://me:hush@p.test:0", "write it as"),
        ("http://me:hush@p.te st", "write it as"),
        ("http://me:hush@[::1", "its port is no number"),
    ],
)
def test_a_proxy_that_cannot_be_read_is_explained_without_its_password(text, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        parse_proxy(text)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_password_is_in_no_text_of_a_proxy():
    proxy = parse_proxy("http://me:hush@[2001:db8::1]:3128")
    assert str(proxy) == "http://[2001:db8::1]:3128"
    assert "hush" not in repr(proxy)


CORP, OTHER = Proxy("http", "corp", 1), Proxy("http", "other", 2)


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, None, None),
        ({"HTTPS_PROXY": "corp:1"}, None, CORP),
        ({"https_proxy": "corp:1"}, None, CORP),
        ({"HTTP_PROXY": "corp:1"}, CORP, None),
        ({"ALL_PROXY": "corp:1"}, CORP, CORP),
        ({"all_proxy": "corp:1", "https_proxy": "other:2"}, CORP, OTHER),
        ({"HTTPS_PROXY": "other:2", "https_proxy": "corp:1"}, None, CORP),
        ({"HTTPS_PROXY": "corp:1", "https_proxy": ""}, None, CORP),
        ({"HTTPS_PROXY": " "}, None, None),
    ],
)
def test_the_environment_names_proxies(environ, http, https):
    assert choose_proxies(environ) == Proxies(http, https)


def test_a_variable_that_is_no_proxy_is_named():
    with pytest.raises(ValueError, match=r"^HTTPS_PROXY: ftp:// is none of"):
        choose_proxies({"HTTPS_PROXY": "ftp://me:hush@p.test"})


def test_the_settings_win_over_the_environment():
    environ = {"HTTPS_PROXY": "other:2", "NO_PROXY": "a.test"}
    assert choose_proxies(environ, "corp:1") == Proxies(
        CORP, CORP, parse_exceptions(["a.test"])
    )
    assert choose_proxies(environ, "none").https is None
    found = choose_proxies(environ, "", ("b.test", "c.test:1"))
    assert found.exceptions == parse_exceptions(["b.test,c.test:1"])


def test_a_proxy_is_chosen_by_scheme_and_host():
    proxies = Proxies(CORP, OTHER, parse_exceptions(["hub.test:5000"]))
    assert proxies.choose("http", "hub.test", 80) == CORP
    assert proxies.choose("https", "hub.test", 443) == OTHER
    assert proxies.choose("https", "hub.test", 5000) is None


def test_children_get_what_is_set_here_in_both_spellings():
    said = as_environment("http://corp:1", ("a.test", "10.0.0.0/8"))
    assert choose_proxies(said) == choose_proxies({}, "corp:1", ["a.test,10.0.0.0/8"])
    assert {name for name in said if name.islower()} == {
        "all_proxy",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    }
    assert as_environment("", ()) == {}
    assert set(as_environment("none", ()).values()) == {""}
