import pytest
from hypothesis import given, strategies as st

from nixeryd.images.digests import Digest
from nixeryd.images.freshness import (
    Confirmed,
    Current,
    Entry,
    Failed,
    Fetch,
    Gone,
    Miss,
    Missing,
    Revalidate,
    Serve,
    Unavailable,
    after,
    decide,
    decide_by_digest,
    render_warning,
)

ONE, TWO = Digest.of(b"1"), Digest.of(b"2")
ENTRY = Entry(ONE, checked=1000.0)
GONE = Entry(ONE, checked=1000.0, gone=True)
TTL = 60.0
NEVER = Unavailable("nixeryd is offline, and this was never pulled before")
SAID_GONE = Miss("the upstream said that it is gone or private")


@pytest.mark.parametrize(
    ("entry", "now", "offline", "decision"),
    [
        (None, 1000, False, Fetch()),
        (None, 1000, True, NEVER),
        (ENTRY, 1000, False, Serve(ONE, 0)),
        (ENTRY, 1059.9, False, Serve(ONE, 59)),
        (ENTRY, 1060, False, Revalidate(ENTRY)),
        (ENTRY, 999, False, Revalidate(ENTRY)),  # the clock was set back
        (ENTRY, 1059.9, True, Serve(ONE, 59)),
        (
            ENTRY,
            1000 + 7200,
            True,
            Serve(
                ONE,
                7200,
                "served from the mirror as it was 2 hours ago: nixeryd is offline",
            ),
        ),
        (GONE, 1030, False, SAID_GONE),
        (GONE, 1060, False, Fetch()),
        (GONE, 5000, True, SAID_GONE),
    ],
)
def test_what_a_request_for_a_tag_needs(entry, now, offline, decision):
    assert decide(entry, now, TTL, offline=offline) == decision


@pytest.mark.parametrize(
    ("stored", "offline", "decision"),
    [
        (True, False, Serve(ONE, 0)),
        (True, True, Serve(ONE, 0)),
        (False, False, Fetch(ONE)),
        (False, True, NEVER),
    ],
)
def test_what_a_request_by_digest_needs(stored, offline, decision):
    assert decide_by_digest(ONE, stored=stored, offline=offline) == decision


@pytest.mark.parametrize(
    ("entry", "answer", "outcome"),
    [
        (ENTRY, Current(ONE), Confirmed(Entry(ONE, 1090))),
        (GONE, Current(ONE), Confirmed(Entry(ONE, 1090))),
        (ENTRY, Current(TWO), Fetch(TWO)),
        (ENTRY, Current(None), Fetch()),
        (None, Current(ONE), Fetch(ONE)),
        (ENTRY, Missing("why"), Gone(Entry(ONE, 1090, gone=True), "why")),
        (GONE, Missing("why"), Gone(Entry(ONE, 1090, gone=True), "why")),
        (None, Missing("why"), Gone(None, "why")),
        (
            ENTRY,
            Failed("hub.test: down"),
            Serve(
                ONE, 90, "served from the mirror as it was 1 minute ago: hub.test: down"
            ),
        ),
        (GONE, Failed("why"), Unavailable("why")),
        (None, Failed("why"), Unavailable("why")),
    ],
)
def test_what_follows_from_an_answer(entry, answer, outcome):
    assert after(entry, answer, 1090) == outcome


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (-5, "less than a minute ago"),
        (59, "less than a minute ago"),
        (120, "2 minutes ago"),
        (3600, "1 hour ago"),
        (86400, "1 day ago"),
        (86400 * 9, "9 days ago"),
    ],
)
def test_a_warning_says_how_old_the_copy_is(age, words):
    served = after(ENTRY, Failed("why"), 1000 + age)
    assert served.warning == f"served from the mirror as it was {words}: why"
    assert served.age == max(0, age)


times = st.floats(0, 1e10)
entries = st.builds(Entry, st.just(ONE), times, st.booleans())


@given(entries, times, times)
def test_offline_never_asks_the_upstream(entry, now, ttl):
    assert isinstance(decide(entry, now, ttl, offline=True), Serve | Miss | Unavailable)


@given(entries, times, times, st.booleans())
def test_a_tag_that_is_gone_is_never_served(entry, now, ttl, offline):
    if entry.gone:
        assert not isinstance(decide(entry, now, ttl, offline=offline), Serve)
        assert not isinstance(after(entry, Failed("why"), now), Serve)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("plain", '299 - "plain"'),
        ('say "no" \\ ', '299 - "say \\"no\\" \\\\ "'),
        ("a\r\nSet-Cookie: x", '299 - "a??Set-Cookie: x"'),
        ("naïve", '299 - "na?ve"'),
    ],
)
def test_a_warning_is_a_quoted_string(text, header):
    assert render_warning(text) == header


def test_a_long_warning_is_cut():
    assert render_warning('~"' * 2000) == '299 - "' + '~\\"' * 1000 + '"'


@given(st.text(max_size=9000))
def test_a_warning_fits(text):
    header = render_warning(text)
    assert len(header) <= 4096
    assert header.isascii()
    assert header.isprintable()
