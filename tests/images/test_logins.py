"""A URL with a login in it is refused; one without is none of our business."""

import pytest

from nixeryd.images.logins import refuse_login


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
