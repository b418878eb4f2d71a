"""The demo set is built by the real Nix and run in a root of nothing else."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from nixeryd.images.errors import NixerydError
from nixeryd.nix import demo
from nixeryd.nix.closure import query_closure
from nixeryd.nix.demo import prepare_demo
from nixeryd.nix.evaluate import EvaluationFailed, evaluate
from nixeryd.nix.programs import Libraries
from nixeryd.nix.realise import realise
from nixeryd.nix.roots import Roots

ALWAYS = ("bashinteractive", "cacert", "coreutils", "hello", "iana-etc", "python3")


@pytest.fixture(scope="session")
def packages(demo_source):
    """What this machine can make, by its programs."""
    found = {"moreutils": "sponge", "nano": "nano"}
    return [*ALWAYS, *(name for name, has in found.items() if shutil.which(has))]


async def build(nix, source, system, names, directory):
    evaluation = await evaluate(nix, source, names, system)
    async with Roots(directory).of_build() as roots:
        wanted = [package.installable for package in evaluation.packages]
        await realise(nix, wanted, roots=roots)
        outputs = [path for package in evaluation.packages for path in package.outputs]
        return evaluation, outputs, await query_closure(nix, outputs)


def copy_root(root, outputs, closure):
    """Make a root as an image has it: the closure, and links to the outputs."""
    (root / "nix/store").mkdir(parents=True)
    subprocess.run(["cp", "-a", *closure, root / "nix/store"], check=True)
    for output in outputs:
        for directory, below, files in os.walk(output):
            place = root / Path(directory).relative_to(output)
            place.mkdir(exist_ok=True)
            links = [name for name in below if Path(directory, name).is_symlink()]
            for name in [*files, *links]:
                if not (place / name).is_symlink():
                    (place / name).symlink_to(Path(directory, name))


def run_in(root, *command):
    return subprocess.run(
        ["/usr/sbin/chroot", root, *command],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/bin"},
    )


@pytest.fixture(scope="module")
def root(nix, demo_source, system, packages, tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("only root may change the root")
    directory = tmp_path_factory.mktemp("demo")
    _, outputs, closure = trio.run(
        partial(build, nix, demo_source, system, packages, directory / "roots")
    )
    copy_root(directory / "root", outputs, closure)
    return directory / "root"


@pytest.fixture(scope="module")
def hello_root(nix, demo_source, system, tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("only root may change the root")
    directory = tmp_path_factory.mktemp("hello")
    _, outputs, closure = trio.run(
        partial(build, nix, demo_source, system, ["hello"], directory / "roots")
    )
    copy_root(directory / "root", outputs, closure)
    return directory / "root"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["hello"], "Hello, world!\n"),
        (["hello", "Nix"], "Hello, Nix!\n"),
        (["bash", "-c", "ls -d /bin /nix"], "/bin\n/nix\n"),
        (["sh", "-c", "echo ${BASH_VERSION:?}"], None),
        (["[", "x", "=", "x", "]"], ""),
        (["sort", "/etc/protocols"], None),
        (["wc", "-c", "/etc/ssl/certs/ca-certificates.crt"], None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_programs_run_in_a_root_of_their_own(root, command, said):
    done = run_in(root, *command)
    assert done.stderr == ""
    assert done.returncode == 0
    assert said is None or done.stdout == said


def test_python_runs_with_its_extension_modules(root):
    script = """
import asyncio, bz2, ctypes, hashlib, json, lzma, sqlite3, ssl, sys, threading, zlib
assert sys.prefix.startswith("/nix/store/"), sys.prefix
assert sqlite3.connect(":memory:").execute("select 40 + 2").fetchone() == (42,)
assert ssl.create_default_context(cafile="/etc/ssl/certs/ca-bundle.crt").get_ca_certs()
thread = threading.Thread(target=print, args=["\u00e4"])
thread.start()
thread.join()
"""
    done = run_in(root, "python3", "-c", script)
    assert done.stderr == ""
    assert done.stdout == "ä\n"


def test_an_editor_starts(root, packages):
    if "nano" not in packages:
        pytest.skip("not installed: nano")
    done = run_in(root, "nano", "--version")
    assert done.returncode == 0
    assert "GNU nano" in done.stdout
    names = run_in(
        root, "bash", "-c", "echo /*/terminfo/x/xterm /usr/*/terminfo/x/xterm"
    )
    assert "/xterm" in names.stdout


def test_programs_run_from_pipes(root, packages):
    if "moreutils" not in packages:
        pytest.skip("not installed: moreutils")
    done = run_in(root, "bash", "-c", "echo full | ifne cat; true | ifne echo empty")
    assert done.stdout == "full\n"


def test_one_package_alone_has_all_it_needs(hello_root):
    assert run_in(hello_root, "hello").stdout == "Hello, world!\n"
    assert [program.name for program in (hello_root / "bin").iterdir()] == ["hello"]


@pytest.mark.parametrize("sandbox", ["true", "false"])
async def test_a_build_gives_the_same_with_and_without_a_sandbox(  # noqa: PLR0917
    nix, demo_source, system, packages, sandbox, tmp_path
):
    if sandbox == "true" and os.geteuid() != 0:
        pytest.skip("a sandbox of one's own needs root")
    evaluation, _, _ = await build(nix, demo_source, system, packages, tmp_path)
    config = nix.environment["NIX_CONFIG"].replace("sandbox = false", "")
    config += f"sandbox = {sandbox}\nsandbox-fallback = false\n"
    other = replace(nix, environment={"NIX_CONFIG": config})
    # --check builds what is built already, and compares.
    derivations = [package.drv_path for package in evaluation.packages]
    await other.run(["nix-store", "--realise", "--check", *derivations])


async def test_packages_say_what_they_are(nix, demo_source, system, packages):
    evaluation = await evaluate(nix, demo_source, packages, system)
    programs = {
        package.attribute: package.main_program for package in evaluation.packages
    }
    assert programs["hello"] == "hello"
    assert programs["python3"] == "python3"
    assert programs["bashinteractive"] == "bash"
    assert programs["coreutils"] is None


async def test_another_architecture_is_refused_with_the_reason(nix, demo_source):
    with pytest.raises(EvaluationFailed, match="no packages for riscv64-linux: it is"):
        await evaluate(nix, demo_source, ["hello"], "riscv64-linux")


@pytest.fixture
def minimal_machine(tmp_path, monkeypatch):
    """A PATH of the necessary programs, and no more."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("bash", "cp", "ln", "mkdir", "chmod", "ldd", "ls"):
        (directory / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(directory))
    return directory


async def test_what_a_machine_lacks_says_so_and_the_rest_works(
    nix, system, minimal_machine, tmp_path
):
    source = prepare_demo(tmp_path / "demo")
    with pytest.raises(EvaluationFailed) as caught:
        await evaluate(nix, source, ["nano", "hello", "moreutils"], system)
    message = caught.value.message
    assert "nano is not on this machine: install it and pull again" in message
    assert "moreutils is not on this machine" in message
    assert "hello does not" not in message
    await build(nix, source, system, ["hello", "coreutils"], tmp_path / "roots")


def test_a_machine_without_bash_can_make_none(minimal_machine, tmp_path):
    (minimal_machine / "bash").unlink()
    with pytest.raises(NixerydError, match="needs bash, which is not on PATH"):
        prepare_demo(tmp_path / "demo")


def test_another_system_can_make_none(monkeypatch, tmp_path):
    monkeypatch.setattr(demo.platform, "system", lambda: "Darwin")
    with pytest.raises(NixerydError, match="needs Linux"):
        prepare_demo(tmp_path / "demo")


def test_a_second_time_nothing_is_written(tmp_path):
    source = prepare_demo(tmp_path / "demo")
    before = {file.name: file.stat().st_ino for file in source.iterdir()}
    assert set(before) == {"default.nix", "programs.json"}
    prepare_demo(source)
    assert {file.name: file.stat().st_ino for file in source.iterdir()} == before


def test_what_changed_is_written_again(tmp_path):
    source = prepare_demo(tmp_path / "demo")
    (source / "default.nix").write_text("old")
    (source / "programs.json").write_text("{}")
    prepare_demo(source)
    assert "machine" in (source / "default.nix").read_text()
    assert "coreutils" in json.loads((source / "programs.json").read_text())["packages"]


def test_names_and_certificates_have_a_reserve(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "_ETC", tmp_path / "empty")
    monkeypatch.setattr(demo, "_CERTIFICATES", ())
    source = prepare_demo(tmp_path / "demo")
    machine = json.loads((source / "programs.json").read_text())["packages"]
    copies = machine["iana-etc"]["copies"] | machine["cacert"]["copies"]
    assert Path(copies["etc/protocols"]).parent.name == "demo"
    assert Path(copies["etc/ssl/certs/ca-bundle.crt"]).name == "cacert.pem"


def test_one_file_with_many_names_is_copied_once(tmp_path, monkeypatch):
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("ls", "cat"):
        (directory / name).symlink_to(shutil.which("bash"))
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    made = demo._programs("coreutils", "ls cat", "two names")
    assert list(made.copies) == ["bin/ls"]
    assert made.links == {"bin/cat": "ls"}


def test_libraries_lie_where_a_loader_of_any_machine_looks():
    found = {
        "/lib64/ld.so": "/usr/lib64/ld.so",
        "/lib/x/libc.so.6": "/usr/lib/x/libc.so.6",
        "/opt/lib/libmine.so.1": "/opt/lib/libmine.so.1.2",
        "/nix/store/x-glibc/lib/libm.so.6": "/nix/store/x-glibc/lib/libm.so.6",
    }
    assert demo._placed(Libraries(found, "/usr/lib64/ld.so")) == {
        "lib64/ld.so": "/usr/lib64/ld.so",
        "lib/x/libc.so.6": "/usr/lib/x/libc.so.6",
        "opt/lib/libmine.so.1": "/opt/lib/libmine.so.1.2",
        "lib/x/libmine.so.1": "/opt/lib/libmine.so.1.2",
    }
