from pathlib import Path

import pytest

from nixeryd.builder.forest import NodeKind
from nixeryd.builder.listing import list_directory, programs


def test_entries_are_told_apart(tmp_path):
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "to-file").symlink_to("file")
    assert list_directory(str(tmp_path)) == {
        "directory": NodeKind.DIRECTORY,
        "file": NodeKind.LEAF,
        "dangling": NodeKind.LEAF,
        "to-file": NodeKind.LEAF,
    }


@pytest.mark.parametrize("target", ["/etc", "/", "/usr"])
def test_a_link_out_of_the_store_is_no_directory_of_this_machine(tmp_path, target):
    """Else the names of this machine's files would get into the image."""
    (tmp_path / "link").symlink_to(target)
    assert list_directory(str(tmp_path)) == {"link": NodeKind.LEAF}


def test_a_link_to_a_directory_of_the_store_is_one(tmp_path, monkeypatch):
    store = tmp_path / "store"
    (store / "x" / "bin").mkdir(parents=True)
    (store / "y").mkdir()
    (store / "y" / "bin").symlink_to(store / "x" / "bin")
    monkeypatch.setattr("nixeryd.builder.listing._STORE", f"{store}/")
    assert list_directory(str(store / "y")) == {"bin": NodeKind.LINK_TO_DIRECTORY}


def test_what_is_no_directory_lists_nothing(tmp_path):
    (tmp_path / "file").touch()
    assert list_directory(str(tmp_path / "file")) == {}


def test_programs_of_all_outputs_are_named(tmp_path):
    for output, names in {"a": ["x", "y"], "b": ["y", "z"]}.items():
        (tmp_path / output / "bin").mkdir(parents=True)
        for name in names:
            Path(tmp_path, output, "bin", name).touch()
    (tmp_path / "c").mkdir()
    outputs = [str(tmp_path / name) for name in "abc"]
    assert programs(outputs) == ("x", "y", "z")
