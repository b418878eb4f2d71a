"""How many bytes have come from binary caches, of how many.

Nix tells of each transfer how far it is, and of all of them what it expects by now,
which grows while it goes on (result 106 of the activity "realise", 102: bytes of NAR as
type 100, bytes over the network as type 101). What it planned is the better total.
Where nothing comes over the network (a cache in a directory), NARs are counted.

Pure.
"""

from dataclasses import dataclass

_COPY_PATH, _TRANSFER = 100, 101


@dataclass(frozen=True, slots=True)
class Transferred:
    """Bytes of all store paths together: those that are here, of those to come."""

    done: int
    expected: int


class Transfers:
    """Adds up the transfers of one Nix process."""

    def __init__(self) -> None:
        self._network: dict[int, int] = {}  # bytes by activity
        self._nars: dict[int, int] = {}
        self._expected = {_COPY_PATH: 0, _TRANSFER: 0}
        self._told = Transferred(0, 0)

    def plan(self, download: int, unpacked: int) -> None:
        """Note what is going to come: bytes over the network, and as NARs."""
        self._raise(_TRANSFER, download)
        self._raise(_COPY_PATH, unpacked)

    def expect(self, kind: int, size: int) -> Transferred | None:
        """Note what Nix expects in all by now."""
        if kind in self._expected:
            self._raise(kind, size)
        return self._news()

    def transferred(self, number: int, done: int) -> Transferred | None:
        """Note how far a transfer is; it may begin again."""
        self._network[number] = max(done, self._network.get(number, 0))
        return self._news()

    def copied(self, number: int, done: int) -> None:
        """Note how much of a NAR has been unpacked."""
        self._nars[number] = done

    def _raise(self, kind: int, size: int) -> None:
        self._expected[kind] = max(self._expected[kind], size)

    def _news(self) -> Transferred | None:
        if self._nars and not self._network:
            done, expected = sum(self._nars.values()), self._expected[_COPY_PATH]
        else:
            done, expected = sum(self._network.values()), self._expected[_TRANSFER]
        found = Transferred(done, max(done, expected))
        if found == self._told or not found.expected:
            return None
        self._told = found
        return found
