"""What a daemon that runs says of itself."""

from dataclasses import dataclass

from nixeryd.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon; `settings` are those in force, its flags and listeners included.

    `source` is the name of its default source, `state` how that is watched;
    `tells_users`: whether it can tell the users of this machine apart.
    """

    pid: int
    settings: Settings
    source: str
    state: str
    tells_users: bool
