"""Every plan over files as people have them: nothing is lost, nothing else comes in."""

import copy
import json
import re
import tomllib
from pathlib import Path

import pytest

from nixeryd.setup import buildkit, containerd, docker, files, podman
from nixeryd.setup.files import Edit

CORPUS = Path(__file__).parent / "corpus"
REGISTRIES = ["docker.io", "ghcr.io", "quay.io"]
SERVER = "https://registry-1.docker.io"

PLANS = {
    "daemon.json": lambda text: docker.plan(text, "127.0.0.1:5001"),
    "registries.conf": lambda text: podman.plan(text, "127.0.0.1:5000", REGISTRIES),
    "containerd": lambda text: containerd.plan_config(text, "/etc/containerd/certs.d"),
    "hosts.toml": lambda text: containerd.plan_hosts(text, "127.0.0.1:5000", SERVER),
    "buildkitd": lambda text: buildkit.plan(text, "127.0.0.1:5001", REGISTRIES),
}
# Here there is nothing to do: CRI is off, or looks at a directory already.
UNTOUCHED = {"containerd/docker-package.toml", "containerd/v3-set.toml"}


def corpus():
    return [
        pytest.param(kind, path, id=f"{kind}/{path.name}")
        for kind in PLANS
        for path in sorted((CORPUS / kind).iterdir())
    ]


def read(path):
    return path.read_bytes().decode()


def data_of(kind, text):
    text = text.removeprefix("\ufeff")
    if kind != "daemon.json":
        return tomllib.loads(text)
    return json.loads(text) if text.strip() else {}


def expected(kind, text):
    """Say what the result must be, in data, without asking the code under test."""
    old = data_of(kind, text)
    new = copy.deepcopy(old)
    if kind == "daemon.json":
        there = old.get("registry-mirrors", [])
        new["registry-mirrors"] = ["http://127.0.0.1:5001", *there]
    elif kind == "buildkitd":
        for name in REGISTRIES:
            table = new.setdefault("registry", {}).setdefault(name, {})
            table["mirrors"] = ["127.0.0.1:5001", *table.get("mirrors", [])]
        new["registry"].setdefault("127.0.0.1:5001", {})["http"] = True
    elif kind == "hosts.toml":
        ours = {"capabilities": ["pull", "resolve"], "dial_timeout": "3s"}
        new["host"] = {"http://127.0.0.1:5000": ours, **old.get("host", {})}
    elif kind == "containerd":
        names = {
            1: ["plugins", "cri"],
            2: ["plugins", "io.containerd.grpc.v1.cri"],
            3: ["plugins", "io.containerd.cri.v1.images"],
        }
        if not old:
            new["version"] = 2
        table = new
        for name in [*names[new.get("version", 1)], "registry"]:
            table = table.setdefault(name, {})
        table["config_path"] = "/etc/containerd/certs.d"
    else:
        entries = new.setdefault("registry", [])
        for name in ("127.0.0.1:5000", "localhost:5000"):
            entry(entries, name, {"location": name})["insecure"] = True
        for name in REGISTRIES:
            found = entry(entries, name, {"prefix": name, "location": name})
            mirror = {"location": f"127.0.0.1:5000/{name}", "insecure": True}
            found["mirror"] = [mirror, *found.get("mirror", [])]
    return new


def entry(entries, name, fresh):
    for one in entries:
        if one.get("prefix", one["location"]) == name:
            return one
    entries.append(fresh)
    return fresh


def test_the_corpus_is_there_as_it_was_written():
    """No editor and no git setting has mended the files."""
    paths = [param.values[1] for param in corpus()]
    assert len(paths) >= 40
    every = b"".join(path.read_bytes() for path in paths)
    assert b"\r\n" in every
    assert b"\xef\xbb\xbf" in every
    assert any(p.read_bytes() and not p.read_bytes().endswith(b"\n") for p in paths)


@pytest.mark.parametrize(("kind", "path"), corpus())
def test_exactly_the_wanted_things_are_added(kind, path):
    text = read(path)
    new = PLANS[kind](text)
    if f"{kind}/{path.name}" in UNTOUCHED:
        assert new == text
    else:
        assert data_of(kind, new) == expected(kind, text)


@pytest.mark.parametrize(("kind", "path"), corpus())
def test_the_order_of_keys_stays(kind, path):
    text = read(path)
    old, new = data_of(kind, text), data_of(kind, PLANS[kind](text))
    if kind != "hosts.toml":
        # Version is the first line of a file that had none.
        assert [key for key in new if key in old] == list(old)
    else:
        hosts = list(old.get("host", {}))
        assert list(new["host"]) == ["http://127.0.0.1:5000", *hosts]


@pytest.mark.parametrize(("kind", "path"), corpus())
def test_every_line_is_kept_but_for_the_value_that_changes(kind, path):
    """Comments, blanks and line endings too, by the bytes."""
    text = read(path)
    new = PLANS[kind](text)
    rest = iter(new.splitlines(keepends=True))
    lost = []
    for line in text.splitlines(keepends=True):
        kept = list(rest)
        bare = line.rstrip("\r\n")
        # The last line may have been without an end.
        here = [n for n, one in enumerate(kept) if one == line]
        if not here and line == bare:
            here = [n for n, one in enumerate(kept) if one.rstrip("\r\n") == bare]
        rest = iter(kept[here[0] + 1 :] if here else kept)
        if not here:
            lost.append(bare)
    allowed = re.compile(r"config_path|mirrors|http = false|^\{\}$")
    if kind == "daemon.json":
        # A comma comes at the end of the last member.
        assert len(lost) <= 1
    else:
        assert [line for line in lost if not allowed.search(line)] == []
        for line in lost:
            assert line.partition("#")[2] in new


@pytest.mark.parametrize(("kind", "path"), corpus())
def test_the_outward_shape_stays(kind, path):
    text = read(path)
    new = PLANS[kind](text)
    assert new.startswith("\ufeff") == text.startswith("\ufeff")
    if text:
        assert new.endswith("\n") == text.endswith("\n")
    if "\r\n" in text:
        assert new.count("\n") == new.count("\r\n")
    else:
        assert "\r" not in new


@pytest.mark.parametrize(("kind", "path"), corpus())
def test_a_second_time_changes_nothing(kind, path):
    once = PLANS[kind](read(path))
    assert PLANS[kind](once) == once


@pytest.mark.parametrize(("kind", "path"), corpus())
def test_undo_gives_the_old_bytes(kind, path, tmp_path):
    copied = tmp_path / path.name
    copied.write_bytes(path.read_bytes())
    after = PLANS[kind](read(path)).encode()
    files.apply([Edit(copied, path.read_bytes(), after)])
    assert copied.read_bytes() == after
    files.undo(files.plan_undo([copied]))
    assert copied.read_bytes() == path.read_bytes()
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
