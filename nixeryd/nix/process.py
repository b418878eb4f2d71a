"""Call Nix's commands; how they run and end is `nixeryd.process`'s.

Knows nothing of what the commands mean.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nixeryd.nix.limits import Limits
from nixeryd.offline import Offline
from nixeryd.process import CommandFailed, LineCallback, run

NixFailed = CommandFailed

# --offline is of the `nix` command only. What was fetched before stays good, however
# old; an untrusted user may say "substitute", but not which substituters.
_WITHOUT_NETWORK = (
    ("substitute", "false"),
    ("connect-timeout", "1"),
    ("stalled-download-timeout", "1"),
    ("download-attempts", "1"),
    ("tarball-ttl", "4294967295"),
)


@dataclass(frozen=True, slots=True)
class Nix:
    """An installed Nix, and how to call it. `open_nix` makes one.

    `fork` is as Nix names itself, in lower case: "nix", "lix, like nix",
    "determinate nix 3.8.0". `options` go to every command; `environment` is
    added to our own. While `offline` is on, no command waits for a network.
    """

    directory: Path
    version: tuple[int, ...]
    fork: str = "nix"
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    offline: Offline = field(default_factory=Offline)
    limits: Limits = field(default_factory=Limits)

    @property
    def is_remote(self) -> bool:
        """Whether the store is not this machine's file system."""
        return self._variable("NIX_REMOTE") not in ("", "auto", "local", "daemon")

    @property
    def database(self) -> Path:
        """Where Nix keeps what it knows of the store, if that is local."""
        return Path(self._variable("NIX_STATE_DIR") or "/nix/var/nix", "db/db.sqlite")

    def _variable(self, name: str) -> str:
        return self.environment.get(name) or os.environ.get(name, "")

    async def run(
        self,
        argv: Sequence[str],
        *,
        on_stderr_line: LineCallback | None = None,
        limits: Limits | None = None,
    ) -> bytes:
        """Run a command such as `["nix-store", "--version"]`; give its stdout.

        `limits` are those of its memory; its time is for the caller to limit.

        Raises `NixFailed` if it fails, `NixerydError` if it cannot be started
        or says more than 256 MiB.
        """
        program, *arguments = argv
        command = [str(self.directory / program), *arguments, *self.options]
        if self.offline.on:
            for name, value in _WITHOUT_NETWORK:
                command += ["--option", name, value]
        if limits is not None:
            command = limits.wrap(command)
        return await run(command, self.environment, on_stderr_line=on_stderr_line)
