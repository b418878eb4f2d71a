# Packages that go wrong in every way, and some that don't. The tests build
# without a sandbox, so /bin/sh is the machine's.
{
  system ? builtins.currentSystem,
  config ? throw "config was not passed",
  overlays ? throw "overlays were not passed",
}:

let
  make =
    name: script: more:
    derivation (
      {
        inherit name system;
        builder = "/bin/sh";
        args = [
          "-euc"
          script
        ];
      }
      // more
    );
  meta = set: package: package // { meta = set; };
in
assert config == { } && overlays == [ ];
rec {
  simple = make "simple-1.0" "echo simple > $out" { };
  program = meta { mainProgram = "run-me"; } (make "program-2.0" "echo $out > $out" { });
  user = make "user-1.0" "echo ${simple} ${program} > $out" { };

  twoOutputs = make "two-1.0" "echo out > $out; echo dev > $dev; echo man > $man" {
    outputs = [
      "out"
      "dev"
      "man"
    ];
  };
  installsMan = meta { outputsToInstall = [ "out" "man" ]; } twoOutputs;

  # Names: exact before folded, digits, nesting, a dot in the name itself.
  UpperCase = make "upper-1.0" "echo > $out" { };
  exactly = make "exact-1.0" "echo > $out" { };
  Exactly = make "folded-1.0" "echo > $out" { };
  _7zip = make "7zip-1.0" "echo > $out" { };
  nestedSet.Inner.deepPackage = make "deep-1.0" "echo > $out" { };
  with_underscores = make "underscores-1.0" "echo > $out" { };
  with-dashes = make "dashes-1.0" "echo > $out" { };
  both-ways = make "both-1.0" "echo > $out" { };
  both_ways = make "both-2.0" "echo > $out" { };
  callable = { system, extra ? "x" }: { inner = { version ? 3 }: simple; };
  needy = { unknown }: { inner = simple; };
  several = [ simple program { deep = user; } ];
  python3Packages = { requests = simple; breaks = throw "no"; };
  "dotted.name" = make "dotted-1.0" "echo > $out" { };

  # No packages.
  function = x: x;
  lib.version = "1";
  text = "text";
  number = 1;
  nothing = null;

  # Packages that do not evaluate. tryEval catches the first three.
  unfree = meta { license = "unfree"; } (
    simple
    // {
      drvPath = throw "Package ‘unfree-1.0’ in /set.nix has an unfree license (‘unfree’), refusing to evaluate.\n\nTo allow it, say so.";
    }
  );
  asserting = assert 1 == 2; simple;
  thrown = throw "this one is thrown";
  mistyped = make "mistyped-1.0" (1 + "x") { };
  aborted = abort "this one is aborted";
  endless = let x = x; in x;

  # Packages that do not build.
  broken = make "broken-1.0" "for i in 1 2 3; do echo line $i; done; echo the end is near >&2; exit 3" { };
  needsBroken = make "needs-broken-1.0" "echo ${broken} > $out" { };
  tooSlow = make "too-slow-1.0" "while :; do :; done" { };
}
