"""Numbering: each digest is a small number, wherever a million of them are looked at.

10,000 images refer to their layers 900,000 times. To look up that many texts takes
seconds, as no cache of the processor holds them; that many places in a list, a tenth
of one.
"""

from collections.abc import Collection, Iterable, Sequence


class Numbering:
    """Digests and their numbers, both ways; one that is new gets the next number.

    It begins with `digests` at their numbers; a number may be nobody's ("").
    """

    def __init__(self, digests: Iterable[str] = ()) -> None:
        self._digests = list(digests)
        self._numbers = {digest: n for n, digest in enumerate(self._digests) if digest}

    def number(self, digest: str) -> int:
        """Return the number of a digest."""
        number = self._numbers.get(digest)
        if number is None:
            number = self._numbers[digest] = len(self._digests)
            self._digests.append(digest)
        return number

    def digest(self, number: int) -> str:
        """Return the digest that has this number."""
        return self._digests[number]

    def digests(self, numbers: Iterable[int]) -> list[str]:
        """Return the digests that have these numbers."""
        digests = self._digests
        return [digests[number] for number in numbers]


def count_uses(
    uses: Sequence[Collection[int]], known: Collection[int] = ()
) -> list[int]:
    """Count in how many of these each number is; none of those only `known`."""
    most = max(map(max, filter(None, (known, *uses))), default=-1)
    counts = [0] * (1 + most)
    for numbers in uses:
        for number in numbers:
            counts[number] += 1
    return counts
