import pytest

from nixeryd.doctor.engines import check_engines
from nixeryd.doctor.findings import Level
from nixeryd.setup.engines import Machine
from nixeryd.setup.targets import Targets


@pytest.fixture
def look(tmp_path, monkeypatch):
    """Look at a machine that has these programs, and nothing else."""

    def look(*programs, is_mac=False):
        for program in programs:
            path = tmp_path / "bin" / program
            path.parent.mkdir(exist_ok=True)
            path.write_text("#!/bin/sh\nexit 1\n")
            path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        machine = Machine(tmp_path, tmp_path / "home", {}, not is_mac, is_mac)
        return list(check_engines(machine, Targets()))

    return look


def test_no_engine_is_a_note(look):
    (finding,) = look()
    assert finding.level is Level.NOTE


def test_an_engine_that_is_not_set_up_says_how_to(look):
    first, *_ = look("podman")
    assert first.advice == "nixeryd setup podman"


@pytest.mark.parametrize(
    ("is_mac", "level", "words"),
    [(False, Level.OK, "sees /nix/store"), (True, Level.NOTE, "a virtual machine")],
)
def test_an_engine_is_told_apart_by_whether_it_sees_the_store(
    look, is_mac, level, words
):
    *_, last = look("podman", is_mac=is_mac)
    assert last.level is level
    assert words in last.text


def test_an_engine_in_a_virtual_machine_is_told_where_we_are(look):
    findings = look("docker", is_mac=True)
    assert any("host.docker.internal:5000" in finding.advice for finding in findings)


def test_what_is_set_up_is_fine(look, tmp_path):
    etc = tmp_path / "etc" / "docker"
    etc.mkdir(parents=True)
    (etc / "daemon.json").write_text(
        '{"registry-mirrors": ["http://127.0.0.1:5001"]}\n'
    )
    levels = [finding.level for finding in look("docker")]
    assert levels[0] is Level.OK
