"""Whether commits are in the history of some refs, asked at a bearable price.

One walk over the history serves all refs at once. Of 800,000 commits it takes
milliseconds for what is new, and for the oldest 16 s, or 2.5 s with git's commit-graph
(benchmarks/README.md). So answers are remembered for as long as they cannot have
changed: a commit that was in the history stays there while all that the refs have
left is in their new history, which is a walk over what is new.

https://git-scm.com/docs/git-rev-list, https://git-scm.com/docs/git-commit-graph
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import trio

from nixeryd.git.command import GitFailed, git

PATIENCE = 60.0  # seconds for one walk
_REMEMBERED = 1000  # commits
_MANY = 1000  # refs that moved: more are not worth a look of their own


@dataclass(frozen=True, slots=True)
class Tips:
    """Where histories end: what `git rev-list` calls them, and their objects now."""

    revisions: tuple[str, ...]
    objects: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Answer:
    objects: frozenset[str]
    is_in: bool


@dataclass(slots=True, eq=False)
class Ancestry:
    """What was found out about one repository; one walk at a time."""

    _known: OrderedDict[tuple[tuple[str, ...], str], _Answer] = field(
        default_factory=OrderedDict
    )
    _lock: trio.Lock = field(default_factory=trio.Lock)

    async def has(self, directory: Path, tips: Tips, commit: str) -> bool:
        """Return whether a commit is one of the tips, or in the history of one.

        Raises `GitFailed` if that cannot be told, or takes more than a minute.
        """
        if commit in tips.objects:
            return True
        if not tips.objects:
            return False
        key = (tips.revisions, commit)
        async with self._lock:
            known = self._known.get(key)
            if known is None or known.objects != tips.objects:
                is_in = await self._find_out(directory, tips, commit, known)
                self._known[key] = known = _Answer(tips.objects, is_in)
            self._known.move_to_end(key)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return known.is_in

    async def _find_out(
        self, directory: Path, tips: Tips, commit: str, known: _Answer | None
    ) -> bool:
        if known is not None and known.is_in:
            left = known.objects - tips.objects
            if len(left) <= _MANY and await _all_in(directory, tips, left):
                return True
        return await _all_in(directory, tips, [commit])


async def _all_in(directory: Path, tips: Tips, commits: Iterable[str]) -> bool:
    """Return whether all commits are in the history; what is gone is not."""
    wanted = ("rev-list", "--max-count=1", *commits)
    with trio.move_on_after(PATIENCE):
        try:
            return not await git(directory, *wanted, "--not", *tips.revisions)
        except GitFailed as error:
            if "bad object" in str(error):
                return False
            raise
    raise GitFailed(
        f"{directory} has so long a history that a minute is not enough to find a"
        f" commit in it: git -C {directory} commit-graph write --reachable"
    )
