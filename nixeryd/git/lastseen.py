"""What refs elsewhere meant when they were asked for last: a file for each ref."""

from dataclasses import dataclass
from pathlib import Path

import trio

from nixeryd.git.repository import as_tag


@dataclass(frozen=True, slots=True)
class LastSeen:
    """The commits, which need not be here; kept in a directory."""

    directory: Path

    async def write(self, ref: str, commit: str) -> None:
        """Remember what a ref means; "" is HEAD."""
        place = trio.Path(self._place(ref))
        await place.parent.mkdir(parents=True, exist_ok=True)
        await place.write_text(commit)

    async def read(self, ref: str) -> str | None:
        """Return what a ref meant, or None if it was never asked for."""
        try:
            text = await trio.Path(self._place(ref)).read_text()
        except OSError:
            return None
        return text.strip() or None

    async def all(self) -> list[str]:
        """Return all commits that refs meant."""
        return await trio.to_thread.run_sync(self._read_all)

    def _place(self, ref: str) -> Path:
        return self.directory / as_tag(ref or "HEAD")

    def _read_all(self) -> list[str]:
        try:
            return [file.read_text().strip() for file in self.directory.iterdir()]
        except OSError:
            return []
