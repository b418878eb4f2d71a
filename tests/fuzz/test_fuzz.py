"""A little of `make fuzz`, the same each time."""

from random import Random

from tests.fuzz.listeners import knock
from tests.fuzz.names import read_names
from tests.fuzz.screens import show_answers
from tests.fuzz.upstreams import meet_upstreams


def test_random_requests_break_nothing(tmp_path):
    assert knock(tmp_path, 0, 500).total() == 500


def test_random_names_are_read_or_refused():
    read_names(Random(0), 3000)


def test_random_answers_are_shown_as_text():
    show_answers(Random(0), 1000)


def test_random_upstreams_mislead_nobody():
    assert meet_upstreams(0, 30) >= 30
