"""Lines of bounded length, from bytes in any pieces."""

from hypothesis import given, strategies as st

from nixeryd.runtime.text_lines import TextLines

CHUNKS = st.lists(st.binary(max_size=20) | st.sampled_from([b"\n", b"ab\ncd\n", b"x"]))


@given(CHUNKS)
def test_the_pieces_make_no_difference(chunks):
    lines = TextLines()
    found = [line for chunk in chunks for line in lines.feed(chunk)] + lines.end()
    whole = b"".join(chunks).split(b"\n")
    assert found == (whole if whole[-1] else whole[:-1])


@given(CHUNKS)
def test_what_is_too_long_is_cut_and_its_rest_is_no_line(chunks):
    lines = TextLines(longest=4)
    found = [line for chunk in chunks for line in lines.feed(chunk)] + lines.end()
    whole = [line[:4] for line in b"".join(chunks).split(b"\n")]
    assert found == (whole if whole[-1] else whole[:-1])
