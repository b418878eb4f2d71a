"""The words of `nixeryd run`: which are ours, which the engine's, which a command's.

Law: a name is what stands alone. Whether a word does is only known from whether the
option before it takes a value: most of an engine's do, and those that do not are
listed here. An option with `=` needs no list.

https://docs.docker.com/reference/cli/docker/container/run/
https://docs.podman.io/en/latest/markdown/podman-run.1.html
"""

from collections.abc import Collection, Sequence

# Options of `run` that take no value, of docker, podman and nerdctl.
_SWITCHES = frozenset(
    {
        "--detach",
        "--disable-content-trust",
        "--env-host",
        "--help",
        "--http-proxy",
        "--init",
        "--interactive",
        "--no-healthcheck",
        "--no-hostname",
        "--no-hosts",
        "--oom-kill-disable",
        "--passwd",
        "--privileged",
        "--publish-all",
        "--quiet",
        "--read-only",
        "--read-only-tmpfs",
        "--replace",
        "--rm",
        "--rmi",
        "--rootfs",
        "--sig-proxy",
        "--tls-verify",
        "--tty",
        "--unsetenv-all",
        "--use-api-socket",
    }
)
_SHORT_SWITCHES = frozenset("diPqt")
_OUR_SWITCHES = frozenset({"--print", "--help"})


def arrange(words: Sequence[str], ours: Collection[str]) -> list[str]:
    """Put our options first, then the name, the engine's options, `--`, the command.

    `ours` are our options that take a value. Ours may stand anywhere before the
    command, the engine's on either side of the name.

    Raises:
        ValueError: there are options, and no name among them.

    """
    first: list[str] = []
    options: list[str] = []
    name: str | None = None
    rest = list(words)
    before_name = 0
    while rest:
        word = rest[0]
        if word == "--" or (not word.startswith("-") and name is not None):
            break
        size = 1 if not word.startswith("-") else _size(word, ours)
        if rest[size - 1 : size] == ["--"]:
            size = 1
        taken, rest = rest[:size], rest[size:]
        if not word.startswith("-"):
            name, before_name = word, len(options)
        elif word.partition("=")[0] in {*ours, *_OUR_SWITCHES}:
            first += taken
        else:
            options += taken
    if name is None:
        if options and "--help" not in first:
            raise ValueError(
                f"no image is named: {options[-1]!r} is taken for what {options[0]} is"
                " set to, or for an option; name the image first"
            )
        return [*first, *options, *rest]
    if rest and rest[0] != "--" and len(options) > before_name:
        # Options after the name are closed by --: until then, all are options.
        cut = rest.index("--") if "--" in rest else len(rest)
        options, rest = [*options, *rest[:cut]], rest[cut:]
    command = rest[1:] if rest[:1] == ["--"] else rest
    return [*first, name, *options, "--", *command]


def _size(option: str, ours: Collection[str]) -> int:
    """Count the words of an option: itself, and its value if that is the next one."""
    if option.startswith("--"):
        takes = "=" not in option and option not in _SWITCHES | _OUR_SWITCHES
        return 2 if takes or option in ours else 1
    letters = option[1:]
    for place, letter in enumerate(letters, 1):
        if letter not in _SHORT_SWITCHES:
            # The value may follow in the same word: -eA=1.
            return 2 if place == len(letters) else 1
    return 1
