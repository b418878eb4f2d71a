"""What status says of a build."""

import pytest

from nixeryd.cli.status import _work

NOTHING = {"done": 0, "expected": 0}
IDLE = {**NOTHING, "rate": 0, "left": None}


@pytest.mark.parametrize(
    ("doing", "said"),
    [
        ({"phase": ""}, ""),
        ({"phase": "evaluate"}, ", evaluate"),
        ({"phase": "realise"}, ""),
        (
            {
                "phase": "realise",
                "builds": {"done": 1, "expected": 3},
                "fetches": {"done": 2, "expected": 5},
                "transfer": {
                    "done": 63_000_000,
                    "expected": 163_000_000,
                    "rate": 12_500_000,
                    "left": 8.0,
                },
            },
            ", 1 of 3 built, 2 of 5 downloaded, 63.0 MB of 163 MB, 12.5 MB/s, 8 s left",
        ),
    ],
)
def test_what_nix_does_for_a_build_is_said(doing, said):
    build = {"builds": NOTHING, "fetches": NOTHING, "transfer": IDLE, **doing}
    assert _work(build) == said
