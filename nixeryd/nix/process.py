"""Call Nix's commands; how they run and end is `nixeryd.runtime.process`'s.

Knows nothing of what the commands mean.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nixeryd.images.errors import NixerydError
from nixeryd.nix.limits import Limits
from nixeryd.nix.progress import EventCallback
from nixeryd.nix.voice import LOG_FORMAT, Voice
from nixeryd.runtime.offline import Offline
from nixeryd.runtime.process import CommandFailed, LineCallback, run

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


# Nix 2.3 to 2.3x, as client of its daemon; whatever it was asked for.
_DAEMON_GONE = re.compile(
    r"cannot connect to (?:socket|daemon)|unexpected end-of-file"
    r"|Nix daemon disconnected unexpectedly|Connection reset by peer|Broken pipe"
)


class NixDaemonGone(NixerydError):  # noqa: N818  what happened, not what it is
    """The Nix daemon does not answer, or not any more: no fault of what was asked."""

    is_transient = True

    def __init__(self, said: str) -> None:
        super().__init__(
            f"the Nix daemon went away or does not answer ({said}); pull again, and if"
            " that does not help: systemctl status nix-daemon"
        )


# From here on `nix … --json` alone warns and is to become an error; before it, and in
# Lix, whose 2.90 and later grew out of Nix 2.18, the flag is one.
_JSON_FORMAT_SINCE = (2, 33)


@dataclass(frozen=True, slots=True)
class Nix:
    """An installed Nix, and how to call it. `open_nix` makes one.

    `fork` is as Nix names itself, in lower case: "nix", "lix, like nix",
    "determinate nix 3.8.0". `options` go to every command; `environment` is
    added to our own. While `offline` is on, no command waits for a network. `on_event`
    hears what evaluations say. `roots` are directories from which each source imports,
    as far as that was seen.
    """

    directory: Path
    version: tuple[int, ...]
    fork: str = "nix"
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    offline: Offline = field(default_factory=Offline)
    limits: Limits = field(default_factory=Limits)
    on_event: EventCallback | None = field(default=None, compare=False)
    roots: dict[str, list[str]] = field(default_factory=dict, compare=False)

    @property
    def is_lix(self) -> bool:
        """Whether this is Lix, whose version numbers are its own."""
        return "lix" in self.fork.split(",")[0]

    @property
    def has_json_format(self) -> bool:
        """Whether the `nix` command has to be told which JSON is meant."""
        return not self.is_lix and self.version >= _JSON_FORMAT_SINCE

    @property
    def has_causes_last(self) -> bool:
        """Whether a trace ends with the error, so that its last lines are enough."""
        return self.is_lix or self.version >= (2, 20)

    @property
    def is_remote(self) -> bool:
        """Whether the store is not this machine's file system."""
        return self._variable("NIX_REMOTE") not in ("", "auto", "local", "daemon")

    @property
    def database(self) -> Path:
        """Where Nix keeps what it knows of the store, if that is local."""
        return Path(self._variable("NIX_STATE_DIR") or "/nix/var/nix", "db/db.sqlite")

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment of its commands."""
        return {**os.environ, **self.environment}

    def _variable(self, name: str) -> str:
        return self.environment.get(name) or os.environ.get(name, "")

    @property
    def has_daemon(self) -> bool:
        """Whether commands ask a Nix daemon of this machine."""
        environment = {**os.environ, **self.environment}
        remote = environment.get("NIX_REMOTE", "")
        state = environment.get("NIX_STATE_DIR") or "/nix/var/nix"
        is_auto = remote in ("", "auto")
        return remote == "daemon" or (is_auto and not os.access(state, os.W_OK))

    async def run(
        self,
        argv: Sequence[str],
        *,
        on_stderr_line: LineCallback | None = None,
        limits: Limits | None = None,
    ) -> bytes:
        """Run a command such as `["nix-store", "--version"]`; give its stdout.

        `limits` are those of its memory; its time is for the caller to limit.

        Raises `NixFailed` if it fails, `NixDaemonGone` if it is not to blame for
        that, `NixerydError` if it cannot be started or says more than 256 MiB.
        """
        program, *arguments = argv
        command = [str(self.directory / program), *arguments, *self.options]
        if self.offline.on:
            for name, value in _WITHOUT_NETWORK:
                command += ["--option", name, value]
        voice = None
        if limits is not None and self.on_event is not None:
            voice = Voice(self.on_event, on_stderr_line)
            on_stderr_line = voice.hear
            command += LOG_FORMAT
        if limits is not None:
            command = limits.wrap(command)
        try:
            return await run(command, self.environment, on_stderr_line=on_stderr_line)
        except NixFailed as error:
            said = error.stderr if voice is None else voice.said
            # The last that it says, in any log format.
            gone = _DAEMON_GONE.search(" ".join(said[-2:]))
            if gone and self.has_daemon:
                raise NixDaemonGone(gone.group()) from error
            raise NixFailed(error.program, error.status, said) from error
