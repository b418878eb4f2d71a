# nixeryd as a package: pkgs.callPackage ./package.nix { }
#
# What it needs of Python is what pyproject.toml says; tests/nix/test_package.py compares.
{
  lib,
  python3Packages,
  installShellFiles,
  git,
}:

let
  init = builtins.readFile ../nixeryd/__init__.py;
  version = builtins.head (builtins.match ".*__version__ = \"([^\"]+)\".*" init);
in
python3Packages.buildPythonApplication {
  pname = "nixeryd";
  inherit version;
  pyproject = true;

  src = lib.cleanSource ../.;

  build-system = [ python3Packages.hatchling ];

  dependencies = with python3Packages; [
    click
    httpx
    hypercorn
    isal
    jinja2
    msgspec
    platformdirs
    quart
    quart-trio
    rich
    structlog
    tomlkit
    trio
    zstandard
  ];

  # The bounds in pyproject.toml are those of the versions that were tried together.
  pythonRelaxDeps = true;

  nativeBuildInputs = [ installShellFiles ];

  # git is asked for revisions. Nix is not a dependency: it must be the one that the
  # user's store belongs to, and is found on PATH and in its usual places.
  makeWrapperArgs = [
    "--suffix"
    "PATH"
    ":"
    (lib.makeBinPath [ git ])
  ];

  postInstall = ''
    install -D --mode 644 --target-directory $out/lib/systemd/user contrib/systemd/*
    substituteInPlace $out/lib/systemd/user/nixeryd.service \
      --replace-fail 'ExecStart=nixeryd ' "ExecStart=$out/bin/nixeryd "
    PYTHONPATH=$PWD:$PYTHONPATH python packaging/man.py > nixeryd.1
    installManPage nixeryd.1
    installShellCompletion --cmd nixeryd \
      --bash <($out/bin/nixeryd completions bash) \
      --zsh <($out/bin/nixeryd completions zsh) \
      --fish <($out/bin/nixeryd completions fish)
  '';

  # The tests drive Nix and container engines.
  doCheck = false;
  pythonImportsCheck = [ "nixeryd.daemon.run" ];

  meta = {
    description = "Registry of your own Nix store, and mirror of the others, on localhost";
    license = lib.licenses.mit;
    mainProgram = "nixeryd";
    platforms = lib.platforms.unix;
  };
}
