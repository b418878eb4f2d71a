"""The command line, pointed at a test's own daemon."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.processes import PATIENCE, environment
from tests.e2e.serving import NIXERYD


@dataclass(frozen=True, slots=True)
class Command:
    """`nixeryd`, as the user of the daemon that has this data directory."""

    data: Path

    def __call__(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        name, *rest = map(str, words)
        return subprocess.run(
            [NIXERYD, name, f"--data-dir={self.data}", *rest],
            env=environment(XDG_RUNTIME_DIR=None, XDG_CONFIG_HOME=str(self.data)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=PATIENCE,
        )

    def done(self, *words: str | Path) -> str:
        """Run it, which must go well and without complaint; gives what it prints."""
        ended = self(*words)
        assert (ended.returncode, ended.stderr) == (0, ""), ended
        return ended.stdout

    def failed(self, *words: str | Path, code: int = 1, stream: str = "stderr") -> str:
        """Run it, which must fail; gives what it complains of."""
        ended = self(*words)
        assert ended.returncode == code, ended
        assert "Traceback" not in ended.stderr
        said: str = getattr(ended, stream)
        return said
