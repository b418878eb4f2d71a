"""Secrets in the configuration's URLs: used as they are, and shown to nobody."""

import json

import pytest

from tests.e2e.processes import run
from tests.e2e.serving import NIXERYD, ODD, PACKAGES, serving

SECRET = "hunter2"
# Where the reader is wrong in it, and nobody answers.
CONFIG = f"""
source = "odd"
[nix]
popularity = "http://me:{SECRET}@127.0.0.1:9/numbers?private_token={SECRET}"
[sources.odd]
path = "{PACKAGES}"
[sources.nightly]
channel = "http://127.0.0.1:9/nixpkgs.tar.gz?private_token={SECRET}"
[sources.app]
flake = "git+http://127.0.0.1:9/app?access_token={SECRET}"
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    place = tmp_path_factory.mktemp("secrets")
    (place / "config.toml").write_text(CONFIG)
    with serving(place, f"--config={place / 'config.toml'}", environ=ODD) as daemon:
        yield daemon


def test_the_api_masks_them(daemon):
    settings = daemon.ask("/api/v1/config").json
    url = "http://***@127.0.0.1:9/numbers?***"
    assert settings["nix.popularity"] == url
    assert settings["sources.nightly.channel"].endswith("nixpkgs.tar.gz?***")
    for path in ("/api/v1/config", "/api/v1/status", "/", "/metrics"):
        answer = daemon.ask(path)
        assert answer.status == 200
        assert SECRET not in answer.body.decode(), path


def test_an_answer_that_tells_of_a_failure_masks_them(daemon):
    for name in ("shell:nightly", "flake/app"):
        repository, _, tag = name.partition(":")
        answer = daemon.ask(f"/v2/{repository}/manifests/{tag or 'latest'}")
        assert answer.status in {403, 404}
        assert "127.0.0.1:9" in answer.body.decode()
        assert SECRET not in answer.body.decode()
    assert SECRET not in json.dumps(daemon.ask("/api/v1/failures").json)


@pytest.mark.parametrize(
    "command",
    [
        "config show",
        "config show --running",
        "status",
        "doctor",
        "pull shell:nightly",
        "popularity",
    ],
)
def test_no_command_prints_them(daemon, command):
    words = [NIXERYD, *command.split(), f"--data-dir={daemon.data}"]
    done = run([*words, f"--config={daemon.place / 'config.toml'}"], daemon.environ)
    assert done.stdout
    assert "Traceback" not in done.stdout
    assert SECRET not in done.stdout


def test_the_log_masks_them(daemon):
    """After all that was asked above, or alone."""
    daemon.process.wait_for_line("no popularity data")
    daemon.ask("/v2/shell/manifests/nightly")
    assert SECRET not in daemon.process.output


def test_a_source_at_a_url_is_announced_without_them(tmp_path):
    (tmp_path / "config.toml").write_text(
        f'[sources.x]\nchannel = "http://127.0.0.1:9/x.tar.gz?t={SECRET}"\n'
    )
    flag = f"--config={tmp_path / 'config.toml'}"
    with serving(tmp_path, flag, environ=ODD) as daemon:
        assert "x: http://127.0.0.1:9/x.tar.gz?***" in daemon.process.output
        assert daemon.ask("/api/v1/status").json["source"]["path"].endswith("?***")
        assert SECRET not in daemon.process.output
