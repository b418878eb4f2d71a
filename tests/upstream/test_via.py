"""Via: our pseudonyms are read and passed on; nothing else of it is."""

import pytest

from nixeryd.upstream.via import read_via, render_via


@pytest.mark.parametrize(
    ("header", "pseudonyms"),
    [
        ("", ()),
        ("1.1 proxy.example", ()),
        ("1.1 nixeryd-0a1b2c3d", ("nixeryd-0a1b2c3d",)),
        (
            "1.1 nixeryd-aaaa, 1.0 fred, 1.1 nixeryd-bbbb",
            ("nixeryd-aaaa", "nixeryd-bbbb"),
        ),
        ("1.1 nixeryd-" + "a" * 40, ()),
        ("1.1 mynixeryd-aaaa", ()),
        ("1.1 nixeryd-aaaa\r\nX: y", ("nixeryd-aaaa",)),
    ],
)
def test_only_our_pseudonyms_are_read(header, pseudonyms):
    assert read_via(header) == pseudonyms
    assert read_via(render_via(pseudonyms)) == pseudonyms
