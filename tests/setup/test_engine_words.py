import shlex

import pytest

from nixeryd.setup.engine_words import arrange

OURS = ("--engine", "--config", "--data-dir")


@pytest.mark.parametrize(
    ("typed", "arranged"),
    [
        ("hello", "hello --"),
        ("hello env -i", "hello -- env -i"),
        ("hello -- env", "hello -- env"),
        ("hello -- --print", "hello -- --print"),
        ("hello git --print", "hello -- git --print"),
        ("--print hello", "--print hello --"),
        ("hello --print", "--print hello --"),
        ("hello -e A=1 --print", "--print hello -e A=1 --"),
        ("hello -e A=1 -- env", "hello -e A=1 -- env"),
        ("hello -e --print -- env", "hello -e --print -- env"),
        ("hello --new -x a b -- env", "hello --new -x a b -- env"),
        ("--network none hello", "hello --network none --"),
        ("--network=none hello", "hello --network=none --"),
        ("--network none hello env", "hello --network none -- env"),
        ("--network none hello -- env", "hello --network none -- env"),
        ("-v a:b -w /src hello git log", "hello -v a:b -w /src -- git log"),
        ("-it hello", "hello -it --"),
        ("-ite A=1 hello", "hello -ite A=1 --"),
        ("-eA=1 hello", "hello -eA=1 --"),
        ("--rm --init hello", "hello --rm --init --"),
        ("--rm=false hello", "hello --rm=false --"),
        (
            "--network none --engine podman hello --data-dir /d -e A=1 -- env",
            "--engine podman --data-dir /d hello --network none -e A=1 -- env",
        ),
        ("--engine=podman hello", "--engine=podman hello --"),
        ("", ""),
        ("--help", "--help"),
        ("--network none --help", "--help --network none"),
    ],
)
def test_every_word_goes_where_it_belongs(typed, arranged):
    assert arrange(typed.split(), OURS) == arranged.split()


@pytest.mark.parametrize("typed", ["--network hello", "-e hello", "--rm", "--x -- env"])
def test_a_name_that_is_taken_for_a_value_is_missed(typed):
    with pytest.raises(ValueError, match="no image is named"):
        arrange(shlex.split(typed), OURS)
