"""A URL with a login in it is refused; one without is none of our business."""

import pytest
from hypothesis import given, strategies as st

from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.images.logins import mask, mask_all, refuse_login


@pytest.mark.parametrize(
    "url",
    [
        "https://me:secret@git.example/nixpkgs",
        "https://ghp_0123456789@git.example/nixpkgs",
        "HTTPS://x:y@git.example/",
        "git+https://me:secret@git.example/nixpkgs?ref=x",
        "http://@git.example/x",
        "ssh://me:secret@git.example/x",
    ],
)
def test_a_login_is_refused_and_not_repeated(url):
    with pytest.raises(ValueError, match="holds a login") as caught:
        refuse_login(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nixos-unstable",
        "https://git.example/nixpkgs",
        "https://git.example/a@b:c@d",
        "git@git.example:me/nixpkgs",
        "ssh://git@git.example/nixpkgs",
        "git+ssh://git@git.example/nixpkgs",
        "github:NixOS/nixpkgs/nixos-unstable",
        "/home/me@work/nixpkgs",
    ],
)
def test_what_holds_none_is_let_through(url):
    refuse_login(url)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:hunter2@a.example/x", "https://***@a.example/x"),
        ("https://hunter2@a.example", "https://***@a.example"),
        ("https://a.example/x?token=hunter2", "https://a.example/x?***"),
        ("https://a.example?hunter2#part", "https://a.example?***#part"),
        ("git+https://me:hunter2@a/x?ref=y", "git+https://***@a/x?***"),
        ("ssh://git@a.example/x", "ssh://***@a.example/x"),
        ("http://me:hunt@er2@a.example/x", "http://***@a.example/x"),
        ("HTTPS://ME:HUNTER2@A.EXAMPLE/", "HTTPS://***@A.EXAMPLE/"),
        (
            "cannot get 'https://me:hunter2@a/x': asked https://b/?t=hunter2 twice",
            "cannot get 'https://***@a/x': asked https://b/?*** twice",
        ),
        ('{"url": "https://a/?t=hunter2"}', '{"url": "https://a/?***"}'),
        ("\x1b[35mhttps://a/?hunter2\x1b[0m", "\x1b[35mhttps://a/?***\x1b[0m"),
        # Nothing to hide.
        ("https://a.example/@scope/x", "https://a.example/@scope/x"),
        ("me@a.example, what? no://thing", "me@a.example, what? no://thing"),
        ("", ""),
    ],
)
def test_what_a_url_may_hide_is_not_shown(text, shown):
    assert mask(text) == shown
    assert mask(shown) == shown


SECRET = st.text("abcXYZ019.,;:!$&()*+=_~%-", min_size=8).map("s3cret{}".format)


@given(
    user=SECRET, password=SECRET, query=SECRET, around=st.text("ab 'é\n", max_size=9)
)
def test_no_secret_is_left_whatever_it_is_made_of(user, password, query, around):
    url = f"https://{user}:{password}@host.example/path?{query}"
    shown = mask(f"{around} {url} {around}")
    assert "s3cret" not in shown
    assert "https://***@host.example/path?***" in shown


def test_settings_are_masked_in_all_their_depth():
    settings = {"a": ["https://x:hunter2@a"], "b": {"c": "u://a?hunter2"}, "d": 1}
    assert mask_all(settings) == {
        "a": ["https://***@a"],
        "b": {"c": "u://a?***"},
        "d": 1,
    }


def test_no_error_repeats_a_secret():
    text = "cannot get https://me:hunter2@a.example/?hunter2"
    assert "hunter2" not in str(NixerydError(text))
    error = RegistryError(ErrorCode.DENIED, text, {"place": text})
    assert "hunter2" not in f"{error} {error.message} {error.detail}"
