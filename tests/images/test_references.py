"""Names as people write them."""

import pytest

from nixeryd.images.digests import Digest
from nixeryd.images.errors import RegistryError
from nixeryd.images.references import parse_name

DIGEST = Digest.of(b"")
OWN = {"localhost:5000", "[::1]:5000"}


@pytest.mark.parametrize(
    ("text", "components", "reference"),
    [
        ("git", ("git",), "latest"),
        ("shell/git:work", ("shell", "git"), "work"),
        (f"git@{DIGEST}", ("git",), DIGEST),
        (f"git:work@{DIGEST}", ("git",), DIGEST),
        ("localhost:5000/shell/git:work", ("shell", "git"), "work"),
        ("[::1]:5000/git", ("git",), "latest"),
        ("ghcr.io/owner/app:1", ("ghcr.io", "owner", "app"), "1"),
    ],
)
def test_a_name_is_read(text, components, reference):
    assert parse_name(text, OWN) == (components, reference)


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "/git", "git/", "Git", "git:a:b", "git@sha256:0"),
        *("localhost:5001/git", "localhost:5000/", "git:-"),
    ],
)
def test_what_is_no_name_is_refused(text):
    with pytest.raises(RegistryError):
        parse_name(text, OWN)
