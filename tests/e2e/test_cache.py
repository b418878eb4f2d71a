"""The cache, from the command line: what is in it, what goes, what stays."""

import json

import pytest

from tests.e2e.command import Command
from tests.e2e.serving import Daemon, serving


@pytest.fixture(scope="module")
def only_daemon(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("cache")) as daemon:
        yield daemon


@pytest.fixture
def daemon(only_daemon):
    """A daemon with nothing in its cache."""
    nixeryd = Command(only_daemon.data)
    if found := names(nixeryd):
        nixeryd.done("unpin", *found)
        nixeryd.done("rm", *found)
    return only_daemon


@pytest.fixture
def nixeryd(daemon: Daemon) -> Command:
    return Command(daemon.data)


def names(nixeryd: Command) -> list[str]:
    images = json.loads(nixeryd.done("list", "--json"))["images"]
    return [f"{image['repository']}:{image['tag']}" for image in images]


def blobs_of(daemon: Daemon) -> set[str]:
    found = (daemon.data / "blobs" / "sha256").rglob("*")
    return {path.name for path in found if path.is_file()}


def test_what_was_pulled_is_listed_last_used_first(daemon, nixeryd):
    assert len(nixeryd.done("list").splitlines()) == 1
    assert daemon.manifest("hello").status == 200
    nixeryd.done("pull", "shell/hello")
    assert names(nixeryd) == ["shell/hello:latest", "hello:latest"]
    assert daemon.manifest("hello", "HEAD").status == 200
    assert names(nixeryd) == ["hello:latest", "shell/hello:latest"]
    listed = json.loads(nixeryd.done("list", "--json"))
    for image in listed["images"]:
        assert image["kind"] == "nix"
        assert 0 < image["unique"] < image["size"] < listed["size"]
    status = json.loads(nixeryd.done("status", "--json"))["cache"]
    assert (status["size"], status["cap"]) == (listed["size"], 20_000_000_000)


def test_an_image_is_shown_by_any_of_its_names(daemon, nixeryd):
    nixeryd.done("pull", "shell/hello")
    shown = json.loads(nixeryd.done("show", "--json", "shell/hello"))
    for name in (f"{daemon.address}/shell/hello", "shell/hello:latest"):
        again = json.loads(nixeryd.done("show", "--json", name))
        assert again["image"]["digest"] == shown["image"]["digest"]
    assert shown["config"]["Cmd"] == ["bash"]
    assert [build["source"] for build in shown["builds"]] == ["demo"]
    paths = [path for layer in shown["layers"] for path in layer["paths"]]
    assert any(path.endswith("-hello-demo") for path in paths)
    assert all(layer["here"] for layer in shown["layers"])
    text = nixeryd.done("show", "shell/hello")
    assert '["bash"]' in text
    assert paths[0] in text
    assert "source     demo\n" in text


def test_a_removed_image_is_gone_with_its_blobs_and_comes_back_the_same(
    daemon, nixeryd
):
    nixeryd.done("pull", "hello")
    before = blobs_of(daemon)
    digest = daemon.manifest("hello").digest
    nixeryd.done("pull", "shell/hello")
    said = nixeryd.done("rm", "shell/hello")
    assert said.startswith("removed shell/hello:latest; freed ")
    assert blobs_of(daemon) == before
    nixeryd.done("rm", "hello")
    assert blobs_of(daemon) == set()
    assert list((daemon.data / "gcroots").iterdir()) == []
    assert daemon.ask(f"/v2/hello/manifests/{digest}").status == 404
    assert daemon.manifest("hello").digest == digest
    assert blobs_of(daemon) == before


def test_of_several_names_all_are_removed_or_none(daemon, nixeryd):
    nixeryd.done("pull", "hello", "shell/hello")
    assert nixeryd.failed("rm", "hello", "helo") == (
        "nixeryd: helo:latest (did you mean hello:latest?) is not in the cache;"
        " see nixeryd list\n"
    )
    nixeryd.done("pin", "shell/hello")
    message = nixeryd.failed("rm", "hello", "shell/hello")
    assert message == (
        "nixeryd: shell/hello:latest is pinned:"
        " first nixeryd unpin shell/hello:latest\n"
    )
    assert len(names(nixeryd)) == 2


def test_gc_says_what_it_would_do_and_does_it_but_for_what_is_pinned(daemon, nixeryd):
    nixeryd.done("pull", "hello", "shell/hello")
    nixeryd.done("pin", "hello")
    foreseen = json.loads(
        nixeryd.done("gc", "--dry-run", "--json", "--max-size", "1kB")
    )
    assert len(names(nixeryd)) == 2
    done = json.loads(nixeryd.done("gc", "--json", "--max-size", "1kB"))
    assert done == {**foreseen, "dry_run": False}
    assert done["images"] == ["shell/hello:latest"]
    assert names(nixeryd) == ["hello:latest"]
    assert "pinned" in nixeryd.done("list")
    assert nixeryd.done("gc").startswith("freed 0 B, ")
    nixeryd.done("unpin", "hello")
    nixeryd.done("gc", "--max-size", "0")
    assert blobs_of(daemon) == set()


def test_a_size_that_is_none_is_wrong_usage(nixeryd):
    message = nixeryd.failed("gc", "--max-size", "20 gigs", code=2)
    assert "'20 gigs' is not a size: write it like 20GB" in message


def test_damage_is_found_removed_and_pulled_again(daemon, nixeryd):
    nixeryd.done("pull", "hello", "shell/hello")
    whole = blobs_of(daemon)
    assert nixeryd.done("verify").endswith(": all as they should be\n")
    shown = json.loads(nixeryd.done("show", "--json", "shell/hello"))
    unique = next(one for one in shown["layers"] if "bash" in str(one["paths"]))
    hexadecimal = unique["digest"].removeprefix("sha256:")
    path = daemon.data / "blobs" / "sha256" / hexadecimal[:2] / hexadecimal
    # Or the daemon would find it by itself.
    daemon.process.wait_until((daemon.data / "checked.json").exists)
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"rot")
    found = nixeryd.failed("verify", code=1, stream="stdout")
    assert f"damaged: {unique['digest']}" in found
    assert "nixeryd verify --repair" in found
    repaired = nixeryd.done("verify", "--repair")
    assert f"damaged, removed: {unique['digest']}" in repaired
    assert "\nto have them again: nixeryd pull shell/hello:latest\n" in repaired
    nixeryd.done("pull", "hello", "shell/hello")
    assert blobs_of(daemon) == whole
    nixeryd.done("verify")


def test_rot_is_found_in_the_background_and_the_next_pull_mends_it(tmp_path):
    with serving(tmp_path) as daemon:
        Command(daemon.data).done("pull", "hello")
        whole = blobs_of(daemon)
        path = max(
            (daemon.data / "blobs").rglob("*/??/*"), key=lambda one: one.stat().st_size
        )
    body = path.read_bytes()
    path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    (tmp_path / "data" / "checked.json").unlink(missing_ok=True)  # a week has gone by
    with serving(tmp_path) as daemon:
        line = daemon.process.wait_for_line("a blob was damaged and is removed").string
        assert f"sha256:{path.name}" in line
        assert "hello:latest" in line
        assert not path.exists()
        nixeryd = Command(daemon.data)
        daemon.process.wait_until((daemon.data / "checked.json").exists)
        assert ", checked " in nixeryd.done("status")
        nixeryd.done("pull", "hello")
        assert blobs_of(daemon) == whole
        assert path.read_bytes() == body
        nixeryd.done("verify")


def test_reading_is_for_all_and_changing_is_not(daemon):
    assert daemon.ask("/api/v1/images").status == 200
    for path in ("images/remove", "images/pin", "gc", "verify"):
        assert daemon.ask(f"/api/v1/{path}", "POST").status == 403
    assert daemon.ask("/api/v1/image/archive?name=hello").status == 403


def test_a_lost_index_is_made_anew_and_a_cap_is_kept(tmp_path):
    """What the names were is lost, what can be pulled by digest is not.

    A cap for one image lets none go that is being pulled; a start lets all go.
    """
    with serving(tmp_path) as daemon:
        digest = daemon.manifest("hello").digest
        size = json.loads(Command(daemon.data).done("list", "--json"))["size"]
    (daemon.data / "index.sqlite").unlink()
    with serving(tmp_path, environ={"NIXERYD_CACHE_MAX_SIZE": f"{size + 1}"}) as daemon:
        nixeryd = Command(daemon.data)
        assert names(nixeryd) == []
        assert daemon.ask(f"/v2/hello/manifests/{digest}").status == 200
        assert daemon.manifest("hello").digest == digest
        manifest = daemon.manifest("shell/hello")
        assert manifest.status == 200
        daemon.process.wait_for_line("cache over its cap")
        assert names(nixeryd) == ["shell/hello:latest", "hello:latest"]
        for layer in manifest.json["layers"]:
            found = daemon.ask(f"/v2/shell/hello/blobs/{layer['digest']}", "HEAD")
            assert found.status == 200
    with serving(tmp_path, environ={"NIXERYD_CACHE_MAX_SIZE": "1kB"}) as daemon:
        nixeryd = Command(daemon.data)
        daemon.process.wait_for_line(r"evicted")
        assert names(nixeryd) == []
