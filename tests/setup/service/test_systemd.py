"""The plans for systemd, read by systemd itself."""

import shutil
import subprocess

import pytest

from nixeryd.config import paths
from nixeryd.config.settings import Settings
from nixeryd.setup.service import files
from nixeryd.setup.service.files import ServiceError
from nixeryd.setup.service.plan import kept_environment
from nixeryd.setup.service.systemd import UNITS, own_files, plan_units

NASTY = {"PATH": "/a b:/c%d:/usr/bin", "NIX_PATH": 'nixpkgs="x"\\y$z'}


@pytest.fixture
def systemd_analyze():
    if not shutil.which("systemd-analyze"):
        pytest.skip("not installed: systemd")

    def analyze(directory, *arguments):
        return subprocess.run(
            ["systemd-analyze", "--user", "--man=no", *arguments],
            check=False,
            capture_output=True,
            text=True,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(directory),
                "XDG_RUNTIME_DIR": str(directory),
                "SYSTEMD_UNIT_PATH": f"{directory}:",
            },
        )

    return analyze


def install(directory, settings=None, environment=NASTY, packaged=()):
    plan = plan_units(
        paths.units_dir(),
        ["/usr/bin/env", "a b", "$HOME%"],
        settings or Settings(),
        environment,
        unit_dir=directory,
        packaged=packaged,
    )
    files.write(plan.files)
    return plan


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(listen=("127.0.0.1:5050", "[::1]:5050"), mirror_listen=("[::1]:1",)),
    ],
)
def test_systemd_finds_nothing_wrong_with_what_is_written(
    tmp_path, systemd_analyze, settings
):
    install(tmp_path, settings)
    checked = systemd_analyze(
        tmp_path, "verify", *[str(tmp_path / unit) for unit in UNITS]
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_service_is_not_laxer_than_it_was(systemd_analyze, tmp_path):
    install(tmp_path)
    unit = str(tmp_path / "nixeryd.service")
    graded = systemd_analyze(
        tmp_path, "security", "--offline=true", "--threshold=77", unit
    )
    assert graded.returncode == 0, graded.stdout
    for line in ("NoNewPrivileges", "RestrictSUIDSGID", "SystemCallArchitectures"):
        assert f"✓ {line}=" in graded.stdout


def test_other_addresses_replace_the_usual_ones(tmp_path):
    plan = install(tmp_path, Settings(listen=("127.0.0.1:5050",)))
    text = (tmp_path / "nixeryd.socket.d" / "nixeryd.conf").read_text()
    assert text.splitlines()[1:] == [
        "[Socket]",
        "ListenStream=",
        "ListenStream=127.0.0.1:5050",
        "ListenStream=%t/nixeryd/admin.sock",
    ]
    assert not any("mirror.socket.d" in str(path) for path in plan.files)


def test_without_a_mirror_its_socket_is_not_started(tmp_path):
    plan = install(tmp_path, Settings(mirror_listen=()))
    assert "nixeryd-mirror.socket" not in str(plan.start)


def test_the_units_of_a_package_are_not_shadowed(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "nixeryd.service").touch()
    plan = install(tmp_path / "own", packaged=[str(package)])
    assert [path.parent.name for path in plan.files] == ["nixeryd.service.d"]


def test_what_was_written_is_removed_and_nothing_else(tmp_path):
    plan = install(tmp_path)
    other = tmp_path / "nixeryd.service.d" / "mine.conf"
    other.write_text("[Service]\n")
    removed = files.remove(own_files(tmp_path))
    assert set(removed) == set(plan.files)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [other]


def test_somebody_elses_unit_is_left_alone(tmp_path):
    (tmp_path / "nixeryd.service").write_text("[Service]\nExecStart=/bin/true\n")
    with pytest.raises(ServiceError, match="was not written by nixeryd"):
        install(tmp_path)
    assert not (tmp_path / "nixeryd.socket").exists()
    assert files.remove(own_files(tmp_path)) == []


def test_the_environment_may_hold_passwords(tmp_path):
    plan = install(tmp_path)
    assert {path.stat().st_mode & 0o777 for path in plan.files} == {0o600}


def test_only_what_the_daemon_needs_is_kept():
    environ = {
        "PATH": "/bin",
        "NIX_PATH": "nixpkgs=/n",
        "NIX_CONFIG": "access-tokens = github.com=secret",
        "NIXERYD_OFFLINE": "1",
        "HTTPS_PROXY": "http://proxy",
        "SSH_AUTH_SOCK": "/s",
        "NIXPKGS_ODD": "two\nlines",
    }
    assert kept_environment(environ).keys() == {
        "PATH",
        "NIX_PATH",
        "NIXERYD_OFFLINE",
        "HTTPS_PROXY",
    }
