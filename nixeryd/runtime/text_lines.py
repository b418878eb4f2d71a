"""Bytes as they come, cut into lines of bounded length.

Pure: what is longer than a line may be ends at that length, and its rest is dropped,
so that no part of it is ever taken for a line by itself.
"""

LONGEST = 8 * 2**20  # bytes; a log's line of a megabyte, escaped six times over


class TextLines:
    """Cuts a stream at each newline."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._begun = bytearray()

    def feed(self, chunk: bytes | bytearray) -> list[bytes]:
        """Take in bytes, and give the lines that end in them."""
        first, *rest = chunk.split(b"\n")
        self._begin(first)
        lines = []
        for part in rest:
            lines.append(bytes(self._begun))
            self._begun.clear()
            self._begin(part)
        return lines

    def end(self) -> list[bytes]:
        """Return what came after the last newline, if anything did."""
        return [bytes(self._begun)] if self._begun else []

    def _begin(self, part: bytes | bytearray) -> None:
        self._begun += part[: self._longest - len(self._begun)]
