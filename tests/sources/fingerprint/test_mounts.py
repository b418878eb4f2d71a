import os
import sys
from pathlib import Path

import pytest
import trio

from nixeryd.sources.fingerprint.mounts import MountTable, parse_mounts

TABLE = rb"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:40 / /home/u/My\040Sets rw - nfs4 server:/sets rw
31 22 0:41 / /home/u/nixpkgs rw - btrfs /dev/vdb rw
32 31 0:41 /x /home/u/nixpkgs/pkgs/here rw master:3 - btrfs /dev/vdb rw
33 22 0:42 / /home/u/nix rw - fuse.sshfs s: rw
34 22 0:43 / /srv rw - ext4 /dev/vdc rw
35 34 0:44 / /srv rw - virtiofs over rw
""".strip()


@pytest.mark.parametrize(
    ("root", "file_system", "inside"),
    [
        (b"/home/u", "ext4", 4),
        (b"/home/u/My Sets/a", "nfs4", 0),
        (b"/home/u/nixpkgs", "btrfs", 1),
        (b"/home/u/nixpkgs/pkgs/here", "btrfs", 0),
        (b"/home/u/nixpkgs2", "ext4", 0),
        (b"/home/u/nix/x", "fuse.sshfs", 0),
        (b"/srv/x", "virtiofs", 0),
    ],
)
def test_a_directory_is_on_the_nearest_and_latest_mount(root, file_system, inside):
    mounts = parse_mounts(TABLE, root)
    assert mounts.file_system == file_system
    assert len(mounts.inside) == inside


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        (b"/home/u/nixpkgs2", None),
        (b"/home/u/My Sets", "its file system (nfs4) does not tell changes"),
        (b"/home/u/nixpkgs", "/home/u/nixpkgs/pkgs/here is mounted inside it"),
    ],
)
def test_the_reason_not_to_watch_is_one_to_act_on(root, reason):
    assert parse_mounts(TABLE, root).why_not() == reason


def test_an_empty_table_is_not_believed():
    assert parse_mounts(b"", b"/x").why_not() is not None


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="Linux only")
def test_the_real_table_is_unchanged_until_it_changes(tmp_path):
    table = MountTable(os.fsencode(tmp_path))
    assert not table.has_changed()
    table.close()


MOUNTING = """
import os, subprocess, sys
from nixeryd.sources.fingerprint.mounts import MountTable

def mount(directory):
    subprocess.run(["mount", "-t", "tmpfs", "none", directory], check=True)

table = MountTable(os.fsencode(sys.argv[1]))
assert table.mounts.why_not() is None, table.mounts
mount(sys.argv[2])
assert not table.has_changed()
mount(sys.argv[1] + "/inside")
assert table.has_changed()
print("SEEN")
"""


CHECKOUT = """
import os, pathlib, subprocess, sys, trio
from nixeryd.sources.fingerprint import open_checkout

async def main():
    path = pathlib.Path(sys.argv[1])
    async with (
        trio.open_nursery() as nursery,
        open_checkout(path, nursery, home=path.parent) as checkout,
    ):
        await checkout.wait_opened()
        before = await checkout.fingerprint()
        words = ["mount", "--bind", sys.argv[2], path / "inside"]
        subprocess.run(words, check=True)
        assert await checkout.fingerprint() is None
        await checkout.wait_opened()
        assert checkout.state.endswith("/inside is mounted inside it")
        seen = await checkout.fingerprint()
        (pathlib.Path(sys.argv[2]) / "x.nix").write_text("1")
        assert len({None, before, seen, await checkout.fingerprint()}) == 4
        print("SEEN")

trio.run(main)
"""


@pytest.mark.parametrize("script", [MOUNTING, CHECKOUT], ids=["table", "checkout"])
async def test_a_mount_inside_is_noticed_and_one_elsewhere_is_not(tmp_path, script):
    """In a mount namespace of its own."""
    for name in ("here", "here/inside", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere" / "y.nix").touch()
    words = ["unshare", "--user", "--map-root-user", "--mount", sys.executable]
    done = await trio.run_process(
        [*words, "-c", script, tmp_path / "here", tmp_path / "elsewhere"],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    if b"unshare" in done.stderr:
        pytest.skip("no user namespaces here")
    assert done.stdout.endswith(b"SEEN\n"), done.stderr.decode()
