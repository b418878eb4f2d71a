"""How long ago, in one way wherever the command line says it."""

import time

import pytest

from nixeryd.cli.ages import render_age


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-300, "just now"),  # a clock was set
        (0, "just now"),
        (300, "5 min ago"),
        (3 * 3600, "3 h ago"),
        (36 * 3600, "36 h ago"),
        (9 * 86400, "9 days ago"),
        (2 * 365 * 86400, "2 years ago"),
    ],
)
def test_an_age_has_one_unit(seconds, said):
    assert render_age(time.time() - seconds) == said
