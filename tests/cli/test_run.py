import pytest

from nixeryd.cli.run import split


@pytest.mark.parametrize(
    ("words", "options", "command"),
    [
        ((), [], []),
        (("--", "git", "log"), [], ["git", "log"]),
        (("-e", "A=1", "--", "env"), ["-e", "A=1"], ["env"]),
        (("-e", "A=1"), ["-e", "A=1"], []),
        (("git", "log", "-1"), [], ["git", "log", "-1"]),
        (("git", "--", "file"), [], ["git", "--", "file"]),
        (("--", "a", "--", "b"), [], ["a", "--", "b"]),
        (("--",), [], []),
    ],
)
def test_options_end_where_the_command_begins(words, options, command):
    assert split(words) == (options, command)
