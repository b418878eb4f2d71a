import json
import os
import stat

import pytest

from nixeryd.setup import files
from nixeryd.setup.errors import EditedSinceError, SetupError
from nixeryd.setup.files import Edit


def names(directory):
    return sorted(one.name for one in directory.iterdir())


def set_up(path, after=b"new\n"):
    files.apply([Edit(path, files.read(path), after)])


def put_back(path, *, force=False):
    files.undo(files.plan_undo([path], force=force))


def test_a_backup_with_the_old_bytes_stays_beside(tmp_path):
    path = tmp_path / "daemon.json"
    path.write_bytes(b"old\r\n")
    set_up(path)
    assert path.read_bytes() == b"new\n"
    assert (tmp_path / "daemon.json.before-nixeryd").read_bytes() == b"old\r\n"


def test_undo_of_a_file_that_was_not_there_takes_it_and_its_directories_away(tmp_path):
    paths = [tmp_path / f"etc/certs.d/{name}/hosts.toml" for name in ("a", "b")]
    files.apply([Edit(path, None, b"x") for path in paths])
    files.undo(files.plan_undo(paths))
    assert names(tmp_path) == []


def test_a_directory_that_somebody_uses_by_now_stays(tmp_path):
    path = tmp_path / "etc/docker/daemon.json"
    set_up(path)
    (tmp_path / "etc/docker/other").touch()
    put_back(path)
    assert names(tmp_path / "etc/docker") == ["other"]


def test_mode_and_owner_stay(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    before = path.stat()
    for step in (set_up, put_back):
        step(path)
        after = path.stat()
        assert stat.S_IMODE(after.st_mode) == 0o640
        assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


def test_the_backup_is_no_more_readable_than_the_file(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"secret")
    path.chmod(0o600)
    set_up(path)
    backup = tmp_path / "f.before-nixeryd"
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles/daemon.json"
    real.write_bytes(b"old")
    link = tmp_path / "daemon.json"
    link.symlink_to("dotfiles/daemon.json")
    set_up(link)
    assert link.is_symlink()
    assert real.read_bytes() == b"new\n"
    put_back(link)
    assert link.is_symlink()
    assert real.read_bytes() == b"old"
    assert names(tmp_path / "dotfiles") == ["daemon.json"]


def test_undo_refuses_when_the_file_was_edited_since(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    set_up(path)
    path.write_bytes(b"mine\n")
    with pytest.raises(EditedSinceError, match="--undo --force"):
        files.plan_undo([path])
    assert path.read_bytes() == b"mine\n"
    put_back(path, force=True)
    assert path.read_bytes() == b"old"


def test_undo_refuses_when_the_file_was_deleted_since(tmp_path):
    path = tmp_path / "f"
    set_up(path)
    path.unlink()
    with pytest.raises(EditedSinceError):
        files.plan_undo([path])
    put_back(path, force=True)
    assert names(tmp_path) == []


def test_undo_after_two_set_ups_goes_back_before_both(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    set_up(path, b"first")
    set_up(path, b"second")
    put_back(path)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


def test_a_set_up_on_top_of_an_edit_keeps_both_backups(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    set_up(path, b"first")
    path.write_bytes(b"edited")
    set_up(path, b"second")
    put_back(path)
    assert path.read_bytes() == b"edited"
    assert (tmp_path / "f.before-nixeryd").read_bytes() == b"old"


def test_without_a_set_up_there_is_nothing_to_undo(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"theirs")
    assert files.plan_undo([path]) == []


def test_a_file_that_changed_while_we_asked_is_not_written(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    edit = Edit(path, b"old", b"new")
    path.write_bytes(b"quicker")
    with pytest.raises(SetupError, match="changed meanwhile"):
        files.apply([edit])
    assert path.read_bytes() == b"quicker"
    assert names(tmp_path) == ["f"]


def test_all_files_are_written_or_none(tmp_path):
    known, fresh, bad = (tmp_path / name for name in ("known", "a/fresh", "bad"))
    known.write_bytes(b"old")
    set_up(known, b"first")
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    bad.write_bytes(b"not what was read")
    with pytest.raises(SetupError, match="bad was changed"):
        files.apply(
            [
                Edit(known, b"first", b"second"),
                Edit(fresh, None, b"x"),
                Edit(bad, b"", b"y"),
            ]
        )
    bad.unlink()
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_a_missing_backup_is_named(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    set_up(path)
    (tmp_path / "f.before-nixeryd").unlink()
    with pytest.raises(SetupError, match=r"f\.before-nixeryd beside .* is gone"):
        files.plan_undo([path])


@pytest.mark.parametrize("record", [b"", b"[]", b"{}", json.dumps("x").encode()])
def test_a_damaged_record_is_named(tmp_path, record):
    path = tmp_path / "f"
    set_up(path)
    (tmp_path / "f.nixeryd-undo").write_bytes(record)
    with pytest.raises(SetupError, match="nixeryd-undo is damaged"):
        files.plan_undo([path])


def test_a_directory_in_place_of_the_file_is_named(tmp_path):
    with pytest.raises(SetupError, match="Is a directory"):
        files.read(tmp_path)


def test_a_file_in_place_of_the_directory_is_named(tmp_path):
    (tmp_path / "docker").touch()
    with pytest.raises(SetupError, match="docker is not a directory"):
        files.check_writable([Edit(tmp_path / "docker/daemon.json", None, b"x")])


def test_the_files_of_a_set_up_are_found_again(tmp_path):
    files.apply([Edit(tmp_path / "ghcr.io/hosts.toml", None, b"x")])
    (tmp_path / "quay.io").mkdir()
    (tmp_path / "quay.io/hosts.toml").touch()
    assert files.recorded_below(tmp_path) == [tmp_path / "ghcr.io/hosts.toml"]
