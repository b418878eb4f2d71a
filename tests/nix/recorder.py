"""Record what this machine's Nix says to a user whom its daemon does not trust.

    python -m tests.nix.recorder tests/nix/recorded/VERSION

As root. What `tests/nix/test_recorded.py` expects of each file goes by its name.
"""

import json
import platform
import sys
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import trio

from nixeryd.nix.evaluate import evaluate
from nixeryd.nix.installation import open_nix
from nixeryd.nix.process import NixFailed
from tests.nix import binarycache
from tests.nix.daemon import UNTRUSTED, nix_daemon, nix_of_user, place_of_all

_SET = r"""
{ system }: let
  make = name: script: more: derivation ({
    inherit name system; salt = "SALT"; builder = "/bin/sh";
    args = [ "-euc" "${script}\n:" ]; } // more);
in rec {
  fails = make "fails-1.0" "echo building; echo line two; exit 3" { };
  depfails = make "depfails-1.0" "echo ${fails} > $out" { };
  fod = make "fod-1.0" "echo x > $out" { outputHashMode = "flat";
    outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "y"; };
}
"""
_FAULTS = {
    "cut": ("-p1.nar", binarycache.CUT),
    "lie": ("-p1.nar", binarycache.LIE),
    "broken": (".narinfo", binarycache.BROKEN),
    "nonsense": (".narinfo", binarycache.LIE),
}
_OPTIONS = {
    "build-users-group": "",
    "sandbox": "false",
    "substitute": "true",
    "require-sigs": "false",
    "download-attempts": "2",
    "narinfo-cache-negative-ttl": "0",
}
# As nixeryd asks; the last is refused to whoever is not trusted.
_ASKING = ("--log-format", "internal-json", "-v", "--option", "max-build-log-size", "9")


def thinned(lines: list[str]) -> str:
    """Leave out progress that says what was said before."""
    kept, said = [], dict[object, object]()
    for line in lines:
        if line.startswith("@nix "):
            entry = json.loads(line.removeprefix("@nix "))
            if entry["action"] == "result" and entry["type"] in (105, 106):
                first = entry["fields"][0] if entry["type"] == 106 else None
                key = (entry["id"], entry["type"], first)
                if said.get(key) == entry["fields"]:
                    continue
                said[key] = entry["fields"]
        kept.append(line)
    return "\n".join(kept) + "\n"


async def record(directory: Path) -> None:
    """Record failed builds, and caches that fail."""
    system = f"{platform.machine()}-linux"
    root = await open_nix()
    with place_of_all() as place, binarycache.binary_cache() as cache:
        options = {**_OPTIONS, "substituters": cache.url}
        with nix_daemon(place, options) as socket:
            nix = nix_of_user(root, UNTRUSTED, socket, place)

            async def realise(name: str, installable: str) -> None:
                lines: list[str] = []
                argv = ["nix-store", "--realise", installable, *_ASKING]
                with suppress(NixFailed):
                    await nix.run(argv, on_stderr_line=lines.append)
                (directory / f"{name}.stderr").write_text(thinned(lines))

            source = place / "set.nix"
            source.write_text(_SET.replace("SALT", str(uuid4())))
            for name in ("fails", "depfails", "fod"):
                (package,) = (await evaluate(nix, source, [name], system)).packages
                await realise(f"daemon-untrusted-{name}", package.installable)
            for name, (part, fault) in _FAULTS.items():
                chain = place / f"{name}.nix"
                chain.write_text(binarycache.chain(3, str(uuid4())))
                given = nix, cache, chain, 3, system, 500
                top = await binarycache.chain_of_packages(*given)
                cache.faults = lambda path, p=part, f=fault: f if p in path else None
                await realise(f"cache-{name}", top)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(exist_ok=True)
    trio.run(record, place)
