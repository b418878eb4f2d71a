"""What `nixeryd verify` says of what it found."""

import pytest

from nixeryd.api.images import Broken, Checked
from nixeryd.cli.verify import _report

GONE = Broken("sha256:1", "damaged", ("a:1", "b:1"), removed=True)
LEFT = Broken("sha256:2", "cannot be read: Permission denied", ("c:1",))


REMOVED = "damaged, removed: sha256:1\n"
DENIED = "cannot be read: Permission denied: sha256:2\n"
AGAIN = "to have them again: nixeryd pull a:1 b:1\n"
STAYS = "what may not be read stays: mend its permissions\n"
HINT = "nixeryd verify --repair removes them\n"


@pytest.mark.parametrize(
    ("broken", "repair", "before", "state", "after"),
    [
        ((), True, "", "all as they should be", ""),
        ((GONE,), True, REMOVED, "1 broken", AGAIN),
        ((LEFT,), False, DENIED, "1 broken", HINT),
        ((GONE, LEFT), True, REMOVED + DENIED, "2 broken", AGAIN + STAYS),
    ],
)
def test_each_broken_blob_is_told_with_what_became_of_it(  # noqa: PLR0917  a table
    capsys, broken, repair, before, state, after
):
    repaired = repair and all(one.removed for one in broken)
    _report(Checked(2, 3_000_000, broken, repaired), repair=repair)
    said = capsys.readouterr().out
    assert said == f"{before}2 blobs, 3.00 MB: {state}\n{after}"
