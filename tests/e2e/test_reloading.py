"""Other settings under a daemon that is at work: nothing that goes on is disturbed."""

import http.client
import threading
from pathlib import Path

from tests.e2e.processes import PATIENCE
from tests.e2e.serving import ODD, PACKAGES, Daemon, note_nix_calls, serving
from tests.e2e.test_waiting import write_set


def reload(daemon: Daemon) -> str:
    """Have the daemon read its file again, and say what that did."""
    file = daemon.place / "config.toml"
    return daemon.command("config", "reload", f"--config={file}").stdout


def layer_types(daemon: Daemon, image: str) -> set[str]:
    answer = daemon.manifest(image)
    assert answer.status == 200, answer.body
    return {layer["mediaType"].rpartition(".")[2] for layer in answer.json["layers"]}


def test_sources_and_layers_change_while_a_build_runs(tmp_path: Path):
    before = write_set(tmp_path, "mkdir $out; echo slow > $out/slow")
    log = note_nix_calls(tmp_path / "noted")
    file = tmp_path / "config.toml"
    file.write_text(f'[sources.before]\npath = "{before}"\n')
    environ = {**ODD, **log.environ}
    with serving(tmp_path, f"--config={file}", environ=environ) as daemon:
        kept = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
        kept.connect()
        same = kept.sock
        built: list[set[str]] = []
        client = threading.Thread(
            target=lambda: built.append(layer_types(daemon, "slow"))
        )
        client.start()
        daemon.process.wait_until(lambda: bool(log.builds))

        # What is not there changes nothing.
        file.write_text('[sources.after]\npath = "/nowhere"\n[cache]\nttl = 5\n')
        assert "/nowhere does not exist" in reload(daemon)
        assert daemon.ask("/api/v1/config").json["cache.ttl"] == 60

        file.write_text(
            f'[sources.after]\npath = "{PACKAGES}"\n'
            '[cache]\ncompression = "gzip"\nttl = 5\n'
            '[upstreams."registry.example"]\nurl = "http://127.0.0.1:9"\n'
        )
        done = reload(daemon)
        assert "sources.after.path is in force" in done
        assert "cache.compression is in force" in done
        assert "cache.ttl is in force" in done
        assert 'upstreams."registry.example".url is in force' in done
        assert "restart" not in done

        kept.request("GET", "/v2/")
        assert kept.getresponse().read() == b"{}"
        assert kept.sock is same, "the connection was dropped"
        kept.close()
        status = daemon.ask("/api/v1/status").json
        assert status["source"]["name"] == "after"
        assert status["source"]["path"] == str(PACKAGES)
        assert status["upstreams"][-1]["name"] == "registry.example"
        assert daemon.ask("/v2/curious/manifests/before").status == 404
        assert layer_types(daemon, "curious") == {"tar+gzip"}
        found = daemon.ask("/api/v1/search?q=curious").json
        assert found["source"] == "after"

        (tmp_path / "gate").touch()
        client.join()
        assert built == [{"tar"}], "the build keeps to what it began with"
        assert len(log.builds) == 2


def test_offline_is_read_again(tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text(f'offline = true\n[sources.odd]\npath = "{PACKAGES}"\n')
    with serving(tmp_path, f"--config={file}", environ=ODD) as daemon:
        assert daemon.ask("/api/v1/status").json["offline"]
        file.write_text(f'[sources.odd]\npath = "{PACKAGES}"\n')
        assert "offline is in force" in reload(daemon)
        told = daemon.ask("/api/v1/status").json["offline"]
        file.write_text(f'offline = true\n[sources.odd]\npath = "{PACKAGES}"\n')
        reload(daemon)
        assert daemon.ask("/api/v1/status").json["offline"] != told
