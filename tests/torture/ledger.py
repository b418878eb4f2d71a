"""The ledger: what was pulled whole, and what was lost since.

A name's bytes are the same at any time, whether they come from the cache, from a new
build or from the upstream. Whoever pulls tells the ledger, which tells what differs.
"""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

LAST = 8
"""Lines of what was done to a blob that is lost."""
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_DEED = re.compile("blob published|blobs are withdrawn|a blob was damaged|evicted")


def _plain(line: str, deed: re.Match[str]) -> str:
    """Shorten a line that names many blobs to what a reader needs of it."""
    return re.sub(" +", " ", line[max(0, deed.start() - 40) :])


@dataclass
class Ledger:
    """Counts, successful pulls, and losses."""

    kills: int = 0
    requests: int = 0
    pulls: int = 0
    bad_inputs: int = 0
    power_cuts: int = 0
    builds: int = 0
    evicted: int = 0
    cared: int = 0
    rotten: int = 0
    pulled: dict[str, str] = field(default_factory=dict)  # name to manifest digest
    kept: set[str] = field(default_factory=set)  # of these, pinned and whole
    # Rotten, and evicted before anybody saw it: a power cut may bring these back.
    unseen: set[str] = field(default_factory=set)
    losses: list[str] = field(default_factory=list)
    rounds: int = 0
    # What the daemons did to the cache, as their logs tell it.
    story: deque[str] = field(default_factory=lambda: deque(maxlen=50_000))

    def note(self, name: str, digest: str) -> None:
        """Take in a pull that was whole."""
        self.pulls += 1
        before = self.pulled.setdefault(name, digest)
        if before != digest:
            self.lose(f"{name} was {before} and is {digest}")

    def lose(self, what: str) -> None:
        """Take in what should never be, with what was last done to its blobs."""
        told = [what]
        for digest in dict.fromkeys(_DIGEST.findall(what)):
            known = [line for line in self.story if digest in line]
            told += [f"    {line}" for line in known[-LAST:]]
        self.losses.append("\n".join(told))

    def hear(self, lines: Iterable[str]) -> None:
        """Take in what a daemon said of the cache in this round."""
        for line in lines:
            if (found := _DEED.search(line)) is not None:
                self.story.append(f"round {self.rounds}: {_plain(line, found)}")

    def counts(self, faults: int) -> str:
        """Tell how it went, in one line."""
        return (
            f"kills: {self.kills}, power cuts: {self.power_cuts}, faults: {faults}, "
            f"requests: {self.requests}, whole pulls: {self.pulls} of"
            f" {len(self.pulled)} images, builds: {self.builds},"
            f" evictions: {self.evicted}, gc, rm, pin, verify, export: {self.cared},"
            f" rotten blobs: {self.rotten}, bad inputs: {self.bad_inputs},"
            f" losses: {len(self.losses)}"
        )
