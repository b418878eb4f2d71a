"""The package and the modules, evaluated with just enough of nixpkgs to do so.

There is no nixpkgs on a test machine: what is checked is that they evaluate, that
the package asks for what pyproject.toml asks for, and what the modules set.
"""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import nixeryd

ROOT = Path(__file__).parents[2]
STUB = """
rec {
  lib = rec {
    cleanSource = source: source;
    makeBinPath = packages: concatStringsSep ":" (map (p: "${p}/bin") packages);
    licenses.mit = "MIT";
    platforms.unix = [ "unix" ];
    mkEnableOption = text: { type = "bool"; };
    mkOption = option: option;
    mkIf = condition: value: if condition then value else { };
    mkMerge = builtins.foldl' (a: b: a // b) { };
    literalExpression = text: text;
    types = { package = "package"; str = "str"; attrsOf = type: "attrsOf ${type}"; };
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: values: if condition then values else [ ];
    getExe = package: "${package}/bin/nixeryd";
    replaceStrings = builtins.replaceStrings;
    concatStringsSep = builtins.concatStringsSep;
    mapAttrsToList = f: set: map (name: f name set.${name}) (builtins.attrNames set);
  };
  python3Packages = builtins.listToAttrs (
    map (name: { inherit name; value = name; }) (builtins.fromJSON ''PACKAGES'')
  ) // { buildPythonApplication = arguments: arguments; };
  pkgs = {
    git = "/git";
    stdenv.hostPlatform = { inherit isLinux; };
    formats.toml = { }: { type = "toml"; generate = name: value: "/${name}"; };
    callPackage = file: arguments: "/nixeryd";
  };
  isLinux = true;
  package = import ROOT/nix/package.nix {
    inherit lib python3Packages;
    installShellFiles = "installShellFiles";
    git = "/git";
  };
  module = file: settings:
    (import file {
      inherit lib pkgs;
      config = {
        nix.package = "/nix-package";
        services.nixeryd = {
          enable = true;
          package = "/nixeryd";
          environment.NIX_PATH = "a\\"b%";
          inherit settings;
        };
      };
    }).config;
}
"""


def wanted() -> set[str]:
    """Name what pyproject.toml asks for, as nixpkgs does."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {re.match(r"[\w-]+", one)[0].lower() for one in project["dependencies"]}


@pytest.fixture
def evaluate(nix):
    def evaluate(expression: str):
        names = json.dumps(sorted({*wanted(), "hatchling"}))
        stub = STUB.replace("PACKAGES", names).replace("ROOT", str(ROOT))
        text = f"let stub = {stub}; in with stub; {expression}"
        done = subprocess.run(
            ["nix-instantiate", "--eval", "--strict", "--json", "--expr", text],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return evaluate


def test_the_package_asks_for_what_the_project_asks_for(evaluate):
    assert set(evaluate("package.dependencies")) == wanted()
    assert evaluate("package.version") == nixeryd.__version__
    installed = evaluate("package.postInstall")
    service = (ROOT / "contrib/systemd/nixeryd.service").read_text()
    for replaced in re.findall(r"--replace-fail '([^']+)'", installed):
        assert replaced in service
    assert "ExecStart=nixeryd " in service


def test_nixos_adds_to_the_units_of_the_package(evaluate):
    config = evaluate(
        'module ROOT/nix/nixos.nix { listen = [ "127.0.0.1:5050" ]; }'.replace(
            "ROOT", str(ROOT)
        )
    )
    assert config["systemd"]["packages"] == ["/nixeryd"]
    user = config["systemd"]["user"]
    assert user["sockets"]["nixeryd"]["listenStreams"] == [
        "",
        "127.0.0.1:5050",
        "%t/nixeryd/admin.sock",
    ]
    assert user["sockets"]["nixeryd-mirror"]["listenStreams"] == []
    assert user["services"]["nixeryd"]["serviceConfig"]["ExecStart"] == [
        "",
        "/nixeryd/bin/nixeryd serve --config=/nixeryd.toml",
    ]


def test_home_manager_links_the_units_and_wants_the_sockets(evaluate):
    config = evaluate(
        'module ROOT/nix/home-manager.nix { mirror_listen = [ "[::1]:1" ]; }'.replace(
            "ROOT", str(ROOT)
        )
    )
    files = config["xdg"]["configFile"]
    assert files["nixeryd/config.toml"]["source"] == "/nixeryd.toml"
    units = {path.name for path in (ROOT / "contrib/systemd").iterdir()}
    for unit in units:
        assert files[f"systemd/user/{unit}"]["source"].endswith(f"/{unit}")
    assert "systemd/user/sockets.target.wants/nixeryd.socket" in files
    drop_in = files["systemd/user/nixeryd.service.d/home-manager.conf"]["text"]
    assert 'Environment="NIX_PATH=a\\"b%%"' in drop_in
    sockets = files["systemd/user/nixeryd-mirror.socket.d/home-manager.conf"]["text"]
    assert sockets == "[Socket]\nListenStream=\nListenStream=[::1]:1\n"
    assert "systemd/user/nixeryd.socket.d/home-manager.conf" not in files
