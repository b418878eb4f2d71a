"""What the daemon gives to the programs that it starts."""

import sys
from pathlib import Path

from tests.e2e.processes import Process

NIXERYD = Path(sys.executable).with_name("nixeryd")


def test_children_get_the_proxies_of_the_configuration(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(
        '[network]\nproxy = "http://p.test:3128"\nno_proxy = ["a.test", "10.0.0.0/8"]\n'
    )
    told = tmp_path / "told"
    nix = tmp_path / "nix"
    # It goes on until it is ended: the daemon would end with it.
    nix.write_text(
        f"#!/bin/sh\nenv > {told}.new\nmv {told}.new {told}\nexec sleep 100\n"
    )
    nix.chmod(0o755)
    environ = {
        "HOME": str(tmp_path),
        "HTTPS_PROXY": "http://other.test:1",
        "PATH": f"{tmp_path}:/usr/bin:/bin",
    }
    daemon = Process(
        [NIXERYD, "serve", "--config", config, "--data-dir", tmp_path / "data",
         "--listen", "127.0.0.1:0", "--mirror-listen", "127.0.0.1:0"],
        environ,
    )  # fmt: skip
    try:
        daemon.wait_until(told.exists)
    finally:
        daemon.end()
    given = dict(line.split("=", 1) for line in told.read_text().splitlines())
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        assert given[name] == "http://p.test:3128"
    assert given["no_proxy"] == given["NO_PROXY"] == "a.test,10.0.0.0/8"
