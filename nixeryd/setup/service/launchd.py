"""launchd: an agent that starts at login and is started again when it fails.

launchd hands sockets over through a C call only, so here the daemon listens by
itself and does not end when it is idle.

man 5 launchd.plist
"""

import os
import plistlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from nixeryd.setup.service.plan import MARK, Plan

LABEL = "io.github.nixeryd"


def plan_agent(
    command: Sequence[str], environment: Mapping[str, str], *, home: Path | None = None
) -> Plan:
    """Say what to write and what to tell launchd."""
    place = agent_file(home)
    log = str((home or Path.home()) / "Library" / "Logs" / "nixeryd.log")
    agent = {
        "Label": LABEL,
        "ProgramArguments": list(command),
        "EnvironmentVariables": dict(environment),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ProcessType": "Background",
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }
    text = plistlib.dumps(agent).decode()
    head, _, rest = text.partition("\n")
    domain = f"gui/{os.getuid()}"
    return Plan(
        {place: f"{head}\n<!-- {MARK} -->\n{rest}"},
        start=(("launchctl", "bootstrap", domain, str(place)),),
        stop=(("launchctl", "bootout", f"{domain}/{LABEL}"),),
    )


def agent_file(home: Path | None = None) -> Path:
    """Return the place of the agent's property list."""
    return (home or Path.home()) / "Library" / "LaunchAgents" / f"{LABEL}.plist"
