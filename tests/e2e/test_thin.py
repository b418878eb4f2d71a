"""Thin images: served as nix-snapshotter reads them, and run by stock engines."""

import gzip
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nixeryd.nix.demo import prepare_demo
from tests.e2e.conftest import need
from tests.e2e.engines import Docker, Podman
from tests.e2e.serving import NO_SANDBOX, Daemon, serving

MOUNT = ("--volume=/nix/store:/nix/store:ro",)
PYTHON = "import hashlib, json, sqlite3, ssl, sys; print(f'python {sys.platform} runs')"

# Each file of the chain reads the next one by its store path; the last loads a
# shared library that nobody else refers to.
DEEP = """\
{ system ? null }:
let
  demo = import @demo@ { };
  library = builtins.path { path = @library@; name = "deep-libz.so"; };
  link = number:
    builtins.toFile "link-${toString number}.py" (
      if number == 0 then ''
        import ctypes
        library = ctypes.CDLL("${library}")
        library.zlibVersion.restype = ctypes.c_char_p
        print("zlib", library.zlibVersion().decode())
      ''
      else ''
        exec(open("${link (number - 1)}").read())
      '');
in
demo // {
  deep = derivation {
    name = "deep";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = "/usr/bin:/bin";
    program = ''
      #!${demo.python3}/bin/python3
      exec(open("${link 200}").read())
    '';
    args = [
      "-euc"
      ''
        mkdir -p $out/bin
        printf %s "$program" > $out/bin/deep
        chmod 555 $out/bin/deep
      ''
    ];
  };
}
"""


@pytest.fixture(params=["docker", "podman"])
def engine(request) -> Docker | Podman:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def deep(tmp_path_factory) -> Iterator[Daemon]:
    """A daemon whose package `deep` has a closure of more than 200 paths."""
    need("nix-instantiate")
    place = tmp_path_factory.mktemp("deep")
    library = next(
        file.resolve()
        for directory in ("/lib", "/usr/lib", "/lib64")
        for file in sorted(Path(directory).glob("**/libz.so.1"))
    )
    source = place / "set.nix"
    demo = prepare_demo(place / "demo")
    text = DEEP.replace("@demo@", str(demo)).replace("@library@", str(library))
    source.write_text(text)
    with serving(
        place, "--nixpkgs", source, environ={"NIX_CONFIG": NO_SANDBOX}
    ) as daemon:
        yield daemon


def annotations(daemon: Daemon, image: str) -> dict[str, str]:
    (layer,) = daemon.manifest(image).json["layers"]
    return layer["annotations"]


def config_of(daemon: Daemon, image: str) -> dict[str, Any]:
    digest = daemon.manifest(image).json["config"]["digest"]
    return daemon.ask(f"/v2/{image}/blobs/{digest}").json


def members(daemon: Daemon, image: str) -> list[tarfile.TarInfo]:
    (layer,) = daemon.manifest(image).json["layers"]
    assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    blob = daemon.ask(f"/v2/{image}/blobs/{layer['digest']}").body
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob))) as archive:
        return archive.getmembers()


def query(*words: str) -> list[str]:
    return subprocess.check_output(["nix-store", "--query", *words], text=True).split()


def test_python_runs_with_the_store_mounted(engine: Docker | Podman, daemon: Daemon):
    image = f"{daemon.address}/thin/shell/python3"
    ran = engine.run(image, "python3", "-c", PYTHON, options=MOUNT)
    assert ran.returncode == 0, ran.stdout
    assert "python linux runs" in ran.stdout


def test_a_library_deep_in_a_large_closure_is_loaded(
    engine: Docker | Podman, deep: Daemon
):
    image = "thin/deep/python3"
    assert len(read_closure(annotations(deep, image))) >= 200
    ran = engine.run(f"{deep.address}/{image}", "deep", options=MOUNT)
    assert ran.returncode == 0, ran.stdout
    assert "zlib 1." in ran.stdout


def test_the_layer_holds_no_content_of_the_store(deep: Daemon):
    found = members(deep, "thin/deep/python3")
    assert sum(member.size for member in found) == 0
    assert not any(member.islnk() for member in found)
    assert sum(member.name.startswith("nix/store/") for member in found) >= 200
    (layer,) = deep.manifest("thin/deep/python3").json["layers"]
    assert layer["size"] < 40_000


# --- as nix-snapshotter reads it (pkg/nix/snapshotter.go, v0.3.0 and before) ---

PREFIX = "containerd.io/snapshot/"


def read_closure(labels: dict[str, str]) -> list[str]:
    """List what a snapshot mounts since 0.3: the lines of `store-paths`."""
    text = Path(labels[PREFIX + "nix-closure"], "store-paths").read_text()
    return text.removesuffix("\n").split("\n")


def read_paths(labels: dict[str, str]) -> list[str]:
    """List what a snapshot mounts before 0.3, in the order of the sorted keys."""
    assert PREFIX + "nix-layer" in labels
    keys = sorted(key for key in labels if key.startswith(PREFIX + "nix-store-path."))
    return [labels[key] for key in keys]


def test_containerd_makes_labels_of_all_annotations(deep: Daemon):
    for key, value in annotations(deep, "thin/deep/python3").items():
        assert key.startswith(PREFIX)
        assert len(key) + len(value) <= 4096


def test_both_generations_mount_the_whole_closure(deep: Daemon):
    labels = annotations(deep, "thin/deep/python3")
    closure = read_closure(labels)
    assert sorted(read_paths(labels)) == sorted(closure)
    assert len({*closure}) == len(closure)
    keys = {f"{PREFIX}nix-store-path.{number}" for number in range(len(closure))}
    assert keys == labels.keys() - {PREFIX + "nix-layer", PREFIX + "nix-closure"}
    assert sorted(query("--requisites", *closure)) == sorted(closure)


def test_rooting_the_list_roots_the_closure(deep: Daemon):
    labels = annotations(deep, "thin/deep/python3")
    listed = labels[PREFIX + "nix-closure"]
    assert sorted(query("--references", listed)) == sorted(read_closure(labels))
    own = [root for root in query("--roots", listed) if str(deep.data) in root]
    assert own == [str(root) for root in (deep.data / "gcroots").glob("*/closure")]


def test_the_root_goes_with_the_image_and_not_before(tmp_path: Path):
    need("nix-instantiate")
    for _ in range(2):  # the second daemon knows of it from the first
        with serving(tmp_path) as daemon:
            listed = annotations(daemon, "thin/nano")[PREFIX + "nix-closure"]
            assert any(str(daemon.data) in root for root in query("--roots", listed))
    with serving(tmp_path) as daemon:
        shown = daemon.command("list")
        assert "thin/nano" in shown.stdout
        removed = daemon.command("rm", "thin/nano")
        assert removed.returncode == 0, removed.stdout
        roots = query("--roots", listed)
        assert not any(str(daemon.data) in root for root in roots)
        assert list((daemon.data / "gcroots").iterdir()) == []


def test_every_mount_has_a_point_of_its_kind(deep: Daemon):
    points = {
        f"/{member.name}": member for member in members(deep, "thin/deep/python3")
    }
    for path in read_closure(annotations(deep, "thin/deep/python3")):
        point = points[path]
        assert point.isdir() == Path(path).is_dir()
        assert point.isfile() == (not Path(path).is_dir())
        assert point.mode == (0o755 if point.isdir() else 0o555)


def test_the_image_says_what_it_is(deep: Daemon):
    config = config_of(deep, "thin/deep/python3")
    labels = config["config"]["Labels"]
    assert "thin image" in labels["org.opencontainers.image.description"]
    assert config["config"]["Env"] == config_of(deep, "deep/python3")["config"]["Env"]


def test_an_ordinary_image_has_no_annotations(deep: Daemon):
    assert "annotations" not in json.dumps(deep.manifest("deep/python3").json)
