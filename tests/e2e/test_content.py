"""What is in an image: the store paths bit for bit, the forest, nothing else."""

import os
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.e2e.engines import Skopeo
from tests.e2e.layout import Layout
from tests.e2e.processes import environment
from tests.e2e.serving import NO_SANDBOX, PACKAGES, Daemon

STORE = "nix/store/"


def requisites(paths: Iterable[str]) -> set[str]:
    argv = ["nix-store", "--query", "--requisites", *paths]
    return set(subprocess.check_output(argv, text=True).split())


def file_tree(top: Path) -> Iterator[Path]:
    yield top
    if top.is_dir() and not top.is_symlink():
        for directory, below, files in os.walk(top):
            yield from (Path(directory, name) for name in (*below, *files))


def describe_file(path: Path) -> tuple[str, object]:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return "link", str(path.readlink())
    if stat.S_ISDIR(status.st_mode):
        return "directory", stat.S_IMODE(status.st_mode)
    return "file", (stat.S_IMODE(status.st_mode), path.read_bytes())


def describe_member(archive: tarfile.TarFile, member: tarfile.TarInfo):
    if member.issym():
        return "link", member.linkname
    if member.isdir():
        return "directory", member.mode
    assert member.isreg(), f"{member.name} is neither file, directory nor link"
    return "file", (member.mode, archive.extractfile(member).read())


class Content:
    """All members of an image's layers, those of the store and those beside it."""

    def __init__(self, layout: Layout) -> None:
        self.members: list[tarfile.TarInfo] = []
        self.store: dict[str, tuple[str, object]] = {}
        self.beside: dict[str, tuple[str, object]] = {}
        for archive in layout.layers():
            for member in archive:
                self.members.append(member)
                name = member.name
                kept = self.store if name.startswith(STORE) else self.beside
                assert name not in self.store, f"{name} is in two layers"
                kept[name] = describe_member(archive, member)

    @property
    def store_paths(self) -> set[str]:
        return {"/" + "/".join(name.split("/")[:3]) for name in self.store}

    @property
    def forest_targets(self) -> set[str]:
        return {text for kind, text in self.beside.values() if kind == "link"}


@pytest.fixture(scope="module")
def odd(skopeo: Skopeo, odd_daemon: Daemon, tmp_path_factory) -> Content:
    directory = tmp_path_factory.mktemp("odd")
    skopeo.copy_to_layout(f"{odd_daemon.address}/curious", directory)
    return Content(Layout(directory))


@pytest.fixture(scope="module")
def demo(skopeo: Skopeo, daemon: Daemon, tmp_path_factory) -> Content:
    directory = tmp_path_factory.mktemp("demo")
    skopeo.copy_to_layout(f"{daemon.address}/shell/python3", directory)
    return Content(Layout(directory))


@pytest.fixture(params=["odd", "demo"])
def content(request) -> Content:
    return request.getfixturevalue(request.param)


def test_the_image_holds_the_closure_of_its_packages_and_no_other_path(odd: Content):
    argv = ["nix-instantiate", "--eval", "--json", "--strict", "-E"]
    expression = (
        f"let set = import {PACKAGES} {{ system = builtins.currentSystem; }}; in"
        " map (name: set.${name}.outPath) [ ''cacert'' ''curious'' ''iana-etc'' ]"
    )
    evaluated = subprocess.check_output(
        [*argv, expression], env=environment(NIX_CONFIG=NO_SANDBOX), text=True
    )
    outputs = evaluated.strip("[]\n").replace('"', "").split(",")
    assert odd.store_paths == requisites(outputs)


def test_the_image_is_closed(content: Content):
    assert content.store_paths == requisites(content.store_paths)


def test_every_file_is_in_the_image_bit_for_bit_with_its_mode(content: Content):
    expected = {
        str(path)[1:]: describe_file(path)
        for top in content.store_paths
        for path in file_tree(Path(top))
    }
    assert content.store.keys() == expected.keys()
    different = [name for name in expected if content.store[name] != expected[name]]
    assert different == []


def test_the_odd_files_are_really_there(odd: Content):
    names = {name.partition("-curious/")[2] for name in odd.store}
    assert {"empty/still-empty", "nothing-in-it", "large", "dangling", "ä"} <= names
    assert os.fsdecode(b"\xff") in names


def test_beside_the_store_are_only_directories_and_links_into_it(content: Content):
    for name, (kind, value) in content.beside.items():
        if kind == "directory":
            assert value == (0o1777 if name == "tmp" else 0o755), name
        else:
            assert kind == "link", name
            assert "/" + "/".join(value.split("/")[1:4]) in content.store_paths, name
            assert os.path.lexists(value), name


def test_the_forest_links_to_each_package(odd: Content):
    linked = {target.split("/")[3].partition("-")[2] for target in odd.forest_targets}
    assert linked == {"cacert", "curious", "iana-etc"}


def test_nothing_in_a_layer_tells_who_made_it_or_when(content: Content):
    owners = {(m.uid, m.gid, m.uname, m.gname) for m in content.members}
    assert owners == {(0, 0, "", "")}
    assert {member.mtime for member in content.members} == {1}
