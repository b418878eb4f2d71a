"""GC roots as Nix sees them: whose outputs a collection would take."""

import subprocess

import pytest

from nixeryd.images.errors import NixerydError
from nixeryd.nix.evaluate import evaluate
from nixeryd.nix.realise import realise
from nixeryd.nix.roots import Roots, of_manifest

A, B = ("image", "latest"), ("image", "other")


@pytest.fixture
def build(nix, system, salted):
    """Build a package nobody has built before into a directory; gives its output."""

    async def build(roots):
        source = salted('one = make "one" "echo one";')
        (package,) = (await evaluate(nix, source, ["one"], system)).packages
        await realise(nix, [package.installable], roots=roots)
        (output,) = package.outputs
        return output

    return build


@pytest.fixture
def is_dead(nix):
    """Ask Nix whether a collection would take a path; nothing is collected.

    It would take what no root leads to. To have it list all that is dead, in a store
    of tens of thousands of paths, takes seconds each time.
    """

    def is_dead(path):
        roots = subprocess.run(
            [nix.directory / "nix-store", "--query", "--roots", path],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=dict(nix.environment),
        )
        return not roots.stdout.strip()

    return is_dead


async def test_a_build_lets_go_unless_its_roots_are_kept(build, is_dead, tmp_path):
    roots = Roots(tmp_path / "roots")
    async with roots.of_build() as directory:
        let_go = await build(directory)
        assert not is_dead(let_go)
    async with roots.of_build() as directory:
        kept = await build(directory)
        roots.keep(A, directory)
    assert is_dead(let_go)
    assert not is_dead(kept)
    roots.release(A)
    assert is_dead(kept)
    assert list((tmp_path / "roots").iterdir()) == []


async def test_a_new_build_takes_the_place_of_the_old_one(build, is_dead, tmp_path):
    roots = Roots(tmp_path / "roots")
    outputs = []
    for owner in (A, B, A):
        async with roots.of_build() as directory:
            outputs.append(await build(directory))
            roots.keep(owner, directory)
    assert [is_dead(output) for output in outputs] == [True, False, False]


async def test_a_start_keeps_what_is_wanted_and_sweeps_the_rest(
    build, is_dead, tmp_path
):
    place = tmp_path / "roots"
    roots = Roots(place)
    outputs = []
    for owner in (A, B):
        async with roots.of_build() as directory:
            outputs.append(await build(directory))
            roots.keep(owner, directory)
    crashed = place / "build-crashed"
    crashed.mkdir()
    (crashed / "root").symlink_to(outputs[0])
    (place / "foreign").mkdir()
    roots = Roots(place, {A})
    assert not crashed.exists()
    assert [is_dead(output) for output in outputs] == [False, True]
    roots.release(A)
    assert is_dead(outputs[0])
    assert [left.name for left in place.iterdir()] == ["foreign"]


async def test_if_none_are_to_be_kept_none_are(build, is_dead, tmp_path):
    roots = Roots(tmp_path)
    async with roots.of_build() as directory:
        before = await build(directory)
        roots.keep(A, directory)
    roots = Roots(tmp_path, {A}, keep=False)
    async with roots.of_build() as directory:
        after = await build(directory)
        roots.keep(A, directory)
    assert is_dead(before)
    assert is_dead(after)


@pytest.mark.parametrize("text", ["", "{", "[]", '["a"]', "7", "null"])
def test_what_a_crash_wrote_half_is_swept(tmp_path, text):
    (tmp_path / "build-half").mkdir()
    (tmp_path / "build-half" / "image.json").write_text(text)
    Roots(tmp_path, {A})
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_holds_no_roots(tmp_path):
    Roots(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


async def test_what_a_manifest_needs_is_kept_whatever_is_configured(
    build, is_dead, tmp_path
):
    owner = of_manifest("sha256:" + "0" * 64)
    roots = Roots(tmp_path, keep=False)
    async with roots.of_build() as directory:
        kept = await build(directory)
        roots.keep(owner, directory)
    assert roots.holds(owner, "root")
    assert not roots.holds(owner, "other")
    again = Roots(tmp_path, {owner}, keep=False)
    assert again.holds(owner, "root")
    assert not is_dead(kept)
    Roots(tmp_path, keep=False)
    assert is_dead(kept)


def test_roots_that_cannot_be_listed_are_not_taken_for_none(tmp_path):
    (tmp_path / "gcroots").touch()
    with pytest.raises(NixerydError, match="gcroots cannot be read: Not a directory"):
        Roots(tmp_path / "gcroots")
