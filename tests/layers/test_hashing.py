"""Chunks: every byte in its order, whole, and hashed."""

import hashlib
import os

import pytest
from hypothesis import given, settings, strategies as st

from nixeryd.layers.hashing import CHUNK, Chunks

SIZES = st.one_of(
    st.integers(0, 2000),
    st.sampled_from([CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3]),
)


@settings(max_examples=30, deadline=None)
@given(
    pieces=st.lists(st.tuples(st.booleans(), SIZES), max_size=8),
    beside=st.integers(0, 2),
)
def test_all_that_comes_is_handed_on_and_hashed(tmp_path_factory, pieces, beside):
    others = [Chunks(print) for _ in range(beside * (os.cpu_count() or 1))]
    taken = []
    chunks = Chunks(lambda chunk: taken.append(bytes(chunk)))
    want = b""
    file = tmp_path_factory.mktemp("chunks") / "file"
    for is_file, size in pieces:
        data = os.urandom(size)
        want += data
        if is_file:
            file.write_bytes(data)
            with file.open("rb") as opened:
                assert chunks.read(opened.fileno(), size, lambda: None) == 0
        else:
            chunks.add(data)
    chunks.finish()
    others.clear()  # they were under way until now
    assert b"".join(taken) == want
    assert chunks.hashed.hexdigest() == hashlib.sha256(want).hexdigest()
    assert [len(chunk) for chunk in taken[:-1]] == [CHUNK] * (len(taken) - 1)


def test_it_says_how_much_a_file_lacks(tmp_path):
    (tmp_path / "short").write_bytes(b"short")
    chunks = Chunks(lambda _: None)
    with (tmp_path / "short").open("rb") as opened:
        assert chunks.read(opened.fileno(), 7, lambda: None) == 2


def test_it_stops_where_it_is_told_to(tmp_path):
    class StopError(Exception):
        pass

    def stop():
        raise StopError

    (tmp_path / "large").write_bytes(bytes(3 * CHUNK))
    chunks = Chunks(lambda _: None)
    with (tmp_path / "large").open("rb") as opened, pytest.raises(StopError):
        chunks.read(opened.fileno(), 3 * CHUNK, stop)
