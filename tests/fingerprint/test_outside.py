import os

import pytest

from nixeryd.fingerprint import outside
from nixeryd.fingerprint.outside import OutOfSightError, identify, links_outside
from nixeryd.fingerprint.tree import Tree

STORE = b"/nix/store"


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "file").write_text("1")
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("1")
    (tmp_path / "out.nix").write_text("1")
    (root / "loop").symlink_to("loop")
    (root / "dot").symlink_to(".")
    return root


def leaving(root):
    tree = Tree(os.fsencode(root))
    tree.walk(lambda: None)
    return links_outside(tree.root, tree.links)


def look(root):
    return identify(os.fsencode(root), STORE, leaving(root))


@pytest.mark.parametrize(
    ("target", "leaves"),
    [
        ("../file", False),
        ("none", False),
        (".", False),
        ("..", False),
        ("../../out.nix", True),
        ("../dot/../out.nix", True),  # by a link, though it does not look so
        ("../../root/file", False),  # as written, it comes back
        ("../.git/HEAD", True),
        ("/nix/store/x", True),
        ("{root}/file", True),  # absolute: what is on the way may change
    ],
)
def test_a_link_leaves_if_any_of_its_way_is_outside(root, target, leaves):
    link = root / "sub" / "link"
    link.symlink_to(target.format(root=root))
    assert leaving(root) == ((os.fsencode(link),) if leaves else ())


@pytest.mark.parametrize(
    "change",
    [
        lambda out: out.write_text("2"),
        lambda out: out.chmod(0o755),
        lambda out: out.unlink(),
        lambda out: (out.unlink(), os.mkfifo(out)),
        lambda out: (out.unlink(), out.symlink_to("/nix/store/x")),
    ],
    ids=["bytes", "execute bit", "gone", "pipe", "link"],
)
def test_what_is_at_the_end_counts(root, change):
    (root / "link").symlink_to("../out.nix")
    before = look(root)
    assert look(root) == before
    change(root.parent / "out.nix")
    assert look(root) != before


def test_a_link_in_the_middle_that_turns_is_noticed(root):
    (root / "link").symlink_to("../current")
    (root.parent / "current").symlink_to("out.nix")
    before = look(root)
    (root.parent / "current").unlink()
    (root.parent / "current").symlink_to("root/file")
    assert look(root) != before


def test_a_directory_outside_is_out_of_sight_and_a_store_path_is_not(root):
    (root / "result").symlink_to("/nix/store/x")
    assert look(root)
    (root / "link").symlink_to("..")
    with pytest.raises(OutOfSightError, match="leads to a directory outside"):
        look(root)


def test_a_pack_of_links_is_too_many(root, monkeypatch):
    monkeypatch.setattr(outside, "_MANY", 3)
    for number in range(4):
        (root / f"link{number}").symlink_to("../out.nix")
    with pytest.raises(OutOfSightError, match="4 symlinks lead out of it"):
        look(root)
