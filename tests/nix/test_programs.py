import os
import sys

import pytest

from nixeryd.images.errors import NixerydError
from nixeryd.nix import programs
from nixeryd.nix.programs import (
    Libraries,
    find_libraries,
    find_program,
    is_elf,
    parse_ldd,
)

DEBIAN = """\
	linux-vdso.so.1 (0x00007f60e4116000)
	libtinfo.so.6 => /lib/x/libtinfo.so.6 (0x00007f60e4051000)
	libgone.so.1 => not found
	/lib64/ld-linux-x86-64.so.2 (0x00007f60e4118000)
"""
ARCH = """\
	libc.so.6 => /usr/lib/libc.so.6 (0x00007f60e4051000)
	/lib64/ld-linux-x86-64.so.2 => /usr/lib64/ld-linux-x86-64.so.2 (0x00007f)
"""
MUSL = """\
	/lib/ld-musl-aarch64.so.1 (0x7f1234)
	libreadline.so.8 => /usr/lib/libreadline.so.8 (0x7f1234)
	libc.musl-aarch64.so.1 => /lib/ld-musl-aarch64.so.1 (0x7f1234)
"""


@pytest.mark.parametrize(
    ("said", "files", "loader"),
    [
        pytest.param(
            DEBIAN,
            {"/lib/x/libtinfo.so.6", "/lib64/ld-linux-x86-64.so.2"},
            "/lib64/ld-linux-x86-64.so.2",
            id="Debian",
        ),
        pytest.param(
            ARCH,
            {"/usr/lib/libc.so.6", "/lib64/ld-linux-x86-64.so.2"},
            "/usr/lib64/ld-linux-x86-64.so.2",
            id="Arch: the loader under two paths",
        ),
        pytest.param(
            MUSL,
            {"/lib/ld-musl-aarch64.so.1", "/usr/lib/libreadline.so.8"},
            "/lib/ld-musl-aarch64.so.1",
            id="musl: the loader is the C library",
        ),
        pytest.param(
            "/bin/a:\n" + DEBIAN + "/bin/b:\n\tstatically linked\n",
            {"/lib/x/libtinfo.so.6", "/lib64/ld-linux-x86-64.so.2"},
            "/lib64/ld-linux-x86-64.so.2",
            id="several programs",
        ),
        pytest.param("\tnot a dynamic executable\n", set(), None, id="static"),
    ],
)
def test_ldd_is_read(said, files, loader, monkeypatch):
    # The real files are this machine's business.
    monkeypatch.setattr(programs.os.path, "realpath", lambda path: path)
    real = {path: loader if "/ld-" in path else path for path in files}
    assert parse_ldd(said) == Libraries(real, loader)


def test_what_a_program_of_this_machine_needs_is_there():
    shell = find_program("bash")
    libraries = find_libraries([shell, shell])
    assert libraries.loader is not None
    assert libraries.loader in libraries.files.values()
    assert all(is_elf(file) for file in libraries.files.values())


def test_a_script_is_no_program(tmp_path, monkeypatch):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("script") is None
    assert find_program("nothing") is None


def test_a_link_is_followed(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("link") == os.path.realpath(sys.executable)


def test_a_machine_without_ldd_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NixerydError, match="ldd cannot be run"):
        find_libraries(["/bin/sh"])
