"""Failed builds are kept: across restarts, and not too many of them."""

import json

import pytest

from nixeryd.api.builds import Failure
from nixeryd.builder.history import KEPT, History, new_id
from tests.builder.conftest import open_builder


def failure(name, message="no"):
    return Failure(name, "git", "latest", "here", 1.0, 2.0, "realise", "git-2", message)


def test_the_last_is_the_first_and_the_oldest_go(tmp_path):
    history = History(tmp_path)
    names = [new_id(1_800_000_000 + number) for number in range(KEPT + 3)]
    for name in names:
        history.add(failure(name), ["a line"])
    assert [one.id for one in history.all()] == names[:2:-1]
    assert len(list(tmp_path.iterdir())) == 2 * KEPT
    assert history.find(names[0]) is None
    assert history.log(names[0]) == []


def test_failures_of_a_clock_that_was_set_back_push_out_no_others(tmp_path):
    late = [new_id(4_000_000_000 + number) for number in range(KEPT)]
    for name in late:
        History(tmp_path, lambda: 4_000_000_100).add(failure(name), [])
    now = new_id(1_700_000_000)
    history = History(tmp_path, lambda: 1_700_000_010)
    history.add(failure(now), ["a line"])
    assert history.log(now) == ["a line"]
    assert {one.id for one in history.all()} == {now, *late[1:]}


def test_what_was_kept_is_found_by_the_next_daemon(tmp_path):
    name = new_id(1_800_000_000)
    History(tmp_path).add(failure(name, "<b>no</b>\nat all"), ["é", "", "\udcff"])
    again = History(tmp_path)
    assert again.find(name) == failure(name, "<b>no</b>\nat all")
    assert again.log(name) == ["é", "", "?"]


def test_a_broken_file_is_no_failure(tmp_path):
    history = History(tmp_path)
    good, bad = new_id(1_800_000_000), new_id(1_800_000_001)
    history.add(failure(good), [])
    (tmp_path / f"{bad}.json").write_text(json.dumps({"id": 1}))
    assert [one.id for one in history.all()] == [good]


@pytest.mark.parametrize("name", ["", "../index", "20260101-000000-00000g", "x" * 999])
def test_a_name_that_is_none_of_ours_finds_nothing(tmp_path, name):
    assert History(tmp_path).find(name) is None
    assert History(tmp_path).log(name) == []


def test_a_failure_that_cannot_be_written_stops_nothing(tmp_path):
    History(tmp_path / "missing").add(failure(new_id(0)), [])


async def test_a_failed_build_is_kept_with_its_log(nix, write_set, tmp_path):
    source = write_set(
        'bad = make "bad-1" "echo nearly there; exit 1";'
        ' good = make "good" "echo fine > $out";'
    )
    async with open_builder(nix, source, tmp_path / "data") as builder:
        async with builder.pull(("bad",), "latest") as channel:
            _ = [event async for event in channel]
        async with builder.pull(("good",), "latest") as channel:
            _ = [event async for event in channel]
    async with open_builder(nix, source, tmp_path / "data") as builder:
        (kept,) = builder.history.all()
        assert (kept.repository, kept.package, kept.phase) == (
            "bad",
            "bad-1",
            "realise",
        )
        assert "bad-1 failed" in kept.message
        assert "bad-1> nearly there" in builder.history.log(kept.id)


def test_failures_that_cannot_be_listed_are_an_error(tmp_path):
    assert History(tmp_path / "none").all() == []
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        History(tmp_path / "file").all()
