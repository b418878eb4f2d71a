"""Whether Nix keeps builders away from the files of who runs the daemon.

A Nix daemon runs builders as users of their own. Without one they run as this user,
and only Nix's sandbox is between them and everything that this user can read.

Nix manual, "sandbox", "sandbox-fallback".
"""

import re

from nixeryd.nix.installation import can_sandbox
from nixeryd.nix.process import Nix, NixFailed

_SANDBOX = re.compile(r"(?m)^sandbox = (?P<value>\S+)$")
_RENAMED = (2, 20)  # `nix show-config` is `nix config show` since then


async def isolates_builders(nix: Nix) -> bool:
    """Return whether a builder cannot read this user's files; no if nobody can tell."""
    if nix.has_daemon or nix.is_remote:
        return True
    ask = ("config", "show") if nix.version >= _RENAMED else ("show-config",)
    features = ("--extra-experimental-features", "nix-command")
    try:
        said = await nix.run(["nix", *features, *ask])
    except NixFailed:
        return False
    found = _SANDBOX.search(said.decode(errors="replace"))
    # "relaxed" lets a derivation leave it, and Nix falls back to none at all if the
    # kernel does not let it have one.
    return found is not None and found["value"] == "true" and await can_sandbox()
