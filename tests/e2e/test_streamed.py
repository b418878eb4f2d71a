"""Streamed layers as clients and users meet them: the same image, and no copy of it."""

import json
import shutil
import subprocess

import pytest
from hypothesis import given, settings, strategies as st

from tests.e2e.command import Command
from tests.e2e.layout import Layout
from tests.e2e.serving import serving
from tests.e2e.test_collection import output, private, pull  # noqa: F401  a fixture

NAME = "shell/python3"
STREAM = {"NIXERYD_CACHE_LAYERS": "stream"}
RUN = ("python3", "-c", "import ssl, sqlite3; print('it', 'runs')")


@pytest.fixture(scope="module")
def streaming(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("streaming"), environ=STREAM) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def layers(streaming, daemon):
    """Pull the image from both daemons; gives its layers, the same in both."""
    manifest = streaming.manifest(NAME)
    assert manifest.body == daemon.manifest(NAME).body
    return manifest.json["layers"]


def said(answer):
    """Return all of an answer but when it was given."""
    headers = {name: text for name, text in answer.headers.items() if name != "date"}
    return answer.status, headers, answer.body


def test_an_image_takes_no_copy_and_is_listed_as_large_as_it_is(streaming, layers):
    nixeryd = Command(streaming.data)
    size = sum(layer["size"] for layer in layers)
    (image,) = json.loads(nixeryd.done("list", "--json"))["images"]
    assert image["size"] > size
    assert image["missing"] == 0
    blobs = (streaming.data / "blobs").rglob("*.recipe")
    kept = [path.stat().st_size for path in blobs]
    assert len(kept) == len(layers)
    assert sum(kept) < size / 50
    assert nixeryd.done("verify").endswith(": all as they should be\n")


def test_a_whole_layer_is_what_is_packed(streaming, daemon, layers):
    for layer in layers:
        path = f"/v2/{NAME}/blobs/{layer['digest']}"
        made, packed = streaming.ask(path), daemon.ask(path)
        assert made.status == 200
        assert said(made) == said(packed)
        assert said(streaming.ask(path, "HEAD")) == said(daemon.ask(path, "HEAD"))


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_range_is_answered_as_of_a_packed_layer(streaming, daemon, layers, data):
    layer = data.draw(st.sampled_from(layers))
    near = st.integers(0, layer["size"] + 10)
    first, last = data.draw(near), data.draw(near)
    text = data.draw(
        st.sampled_from((f"{first}-{last}", f"{first}-", f"-{last}", f"0-{first}"))
    )
    path = f"/v2/{NAME}/blobs/{layer['digest']}"
    made, packed = (
        one.ask(path, headers={"Range": f"bytes={text}"}) for one in (streaming, daemon)
    )
    assert said(made) == said(packed)


def test_an_engine_pulls_and_runs_it(streaming, podman):
    ran = podman.run(f"{streaming.address}/{NAME}", *RUN)
    assert "it runs" in ran.stdout, ran.stdout


def test_skopeo_copies_it_and_an_export_holds_it(streaming, skopeo, layers, tmp_path):
    skopeo.copy_to_layout(f"{streaming.address}/{NAME}", tmp_path / "copied")
    file = tmp_path / "image.tar"
    Command(streaming.data).done("export", NAME, file)
    (tmp_path / "exported").mkdir()
    subprocess.run(["tar", "-xf", file, "-C", tmp_path / "exported"], check=True)
    for place in ("copied", "exported"):
        layout = Layout(tmp_path / place)
        assert layout.manifest["layers"] == layers
        assert len(list(layout.layers())) == len(layers)


def test_a_collection_takes_nothing_of_an_image_and_what_is_lost_comes_again(
    private,  # noqa: F811
):
    with private.serving(**STREAM, NIXERYD_NIX_KEEP_ROOTS="false") as daemon:
        nixeryd = Command(daemon.data)
        before = pull(daemon)
        path = output(nixeryd)
        private.collect(daemon)
        assert private.has(path)
        assert pull(daemon) == before
        # Somebody removes the roots: what nobody keeps is collected.
        for roots in (daemon.data / "gcroots").iterdir():
            shutil.rmtree(roots)
        private.collect(daemon)
        assert not private.has(path)
        layer = json.loads(before[0])["layers"][0]
        answer = daemon.ask(f"/v2/fresh/blobs/{layer['digest']}")
        assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")
        assert "is not in the Nix store any more; pull its image" in answer.message
        assert "cannot be made" in nixeryd.failed("verify", stream="stdout")
        assert pull(daemon) == before
        assert private.has(path)
    with private.serving(**STREAM) as daemon:
        # A restart lets nothing go.
        private.collect(daemon)
        assert pull(daemon) == before
        Command(daemon.data).done("rm", "fresh")
        private.collect(daemon)
        assert not private.has(path)
        assert list((daemon.data / "blobs").rglob("*.recipe")) == []
