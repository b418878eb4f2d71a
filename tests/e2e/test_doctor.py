"""`nixeryd doctor`, on machines that lack something."""

import json
from pathlib import Path

from tests.e2e.conftest import need
from tests.e2e.processes import environment, run
from tests.e2e.serving import NIX_CONFIG, NIXERYD, PACKAGES, serving


def doctor(place: Path, *flags: str, **variables: str | None):
    done = run(
        [NIXERYD, "doctor", "--json", *flags],
        environment(
            **{
                "HOME": str(place),
                "NIX_CONFIG": NIX_CONFIG,
                "NIX_PATH": None,
                "XDG_CONFIG_HOME": None,
                "XDG_DATA_HOME": None,
                "XDG_RUNTIME_DIR": None,
                **variables,
            }
        ),
    )
    assert "Traceback" not in done.stdout
    found = json.loads(done.stdout)
    levels = {one["check"]: one["level"] for one in found}
    assert (done.returncode == 1) == ("broken" in levels.values()), done.stdout
    return {one["check"]: one for one in found}


def test_a_daemon_that_runs_is_asked_what_it_uses(tmp_path: Path):
    """What it was started with counts; this shell has none of that configured."""
    with serving(tmp_path, f"--nixpkgs={PACKAGES}") as daemon:
        found = doctor(tmp_path, f"--data-dir={daemon.data}")
    assert found["daemon"]["level"] == "ok"
    assert str(daemon.process.pid) in found["daemon"]["text"]
    assert f"127.0.0.1:{daemon.mirror.port} is the daemon's" in found["port"]["text"]
    assert found["source"]["text"] == f"nixpkgs: {PACKAGES} evaluates"
    assert "only you and root are answered" in found["users"]["text"]


def test_a_source_that_evaluates_is_fine_and_one_that_does_not_is_shown(tmp_path: Path):
    need("nix-instantiate")
    good = doctor(tmp_path, NIXERY_PKGS_PATH=str(PACKAGES))
    assert good["source"]["level"] == "ok"
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "default.nix").write_text('{ system, ... }: throw "the moon is full"')
    found = doctor(tmp_path, NIXERY_PKGS_PATH=str(bad))
    assert found["source"]["level"] == "broken"
    assert "the moon is full" in found["source"]["text"]
    assert "nix-instantiate" in found["source"]["advice"]


def test_a_broken_configuration_and_a_data_directory_in_a_file(tmp_path: Path):
    config = tmp_path / "config.toml"
    config.write_text("lisen = 1\n")
    data = tmp_path / "file" / "data"
    data.parent.touch()
    found = doctor(tmp_path, f"--config={config}", NIXERYD_DATA_DIR=str(data))
    assert "did you mean 'listen'" in found["config"]["text"]
    good = tmp_path / "good.toml"
    good.touch()
    found = doctor(tmp_path, f"--config={good}", NIXERYD_DATA_DIR=str(data))
    assert found["data"]["level"] == "broken"


def test_without_nix_it_says_how_to_get_it(tmp_path: Path):
    need("unshare", root=True)
    done = run(
        [
            *("unshare", "--mount", "sh", "-c"),
            'mount --bind /dev/null "$(readlink -f "$(command -v nix)")" && exec "$@"',
            *("sh", NIXERYD, "doctor"),
        ],
        environment(HOME=str(tmp_path), PATH="/usr/bin:/bin"),
    )
    assert done.returncode == 1, done.stdout
    assert "Nix was not found" in done.stdout
    assert "https://nixos.org/download" in done.stdout
