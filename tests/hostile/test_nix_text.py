"""Names reach Nix as data: whatever is in them, they are only names that are not there.

The grammar of image names lets none of this through; here it is tried below it, where
`shell_packages` and the search come in as well.
"""

from functools import partial

import pytest
import trio
from hypothesis import given, strategies as st

from nixeryd.nix.evaluate import PackagesNotFound, evaluate
from tests.e2e.serving import PACKAGES
from tests.hostile.examples import examples

PIECES = st.sampled_from(
    [
        "${builtins.abort ''injected''}",
        '${throw "injected"}',
        '"; injected = abort "injected"; x = "',
        "''; abort ''injected",
        "'' + (abort ''injected'') + ''",
        "in abort",
        "let x = abort; in x",
        "import <nixpkgs>",
        "(import /etc/passwd)",
        "/etc/passwd",
        "../../default.nix",
        "--eval",
        "--argstr",
        "-I nixpkgs=/tmp",
        "$(touch /tmp/injected)",
        "`id`",
        "\\",
        '\\"',
        "$$",
        "$${x}",
        "''$",
        "#",
        "/*",
        "*/",
        ";",
        "}",
        "{",
        "]",
        ".",
        "..",
        " ",
        "\n",
        "\r",
        "\t",
        "@",
        "?",
        "or abort",
        "__functor",
        "curious",
        "x",
    ]
)
NAMES = st.lists(PIECES | st.text(max_size=5), min_size=2, max_size=6).map("".join)


def is_strange(name: str) -> bool:
    """Tell a name that no package has, whatever becomes of its case."""
    return "\0" not in name and not name.replace("x", "").lower().endswith("curious")


@examples(2)
@given(names=st.lists(NAMES.filter(is_strange), min_size=30, max_size=60, unique=True))
def test_a_name_is_never_read_as_nix(nix, names):
    run = partial(evaluate, nix, PACKAGES, names, "x86_64-linux")
    with pytest.raises(PackagesNotFound) as caught:
        trio.run(run)
    assert caught.value.names == tuple(names)


@pytest.mark.parametrize(
    "system", ['x"; abort "injected', "${abort ''injected''}", "-x"]
)
async def test_nor_is_a_platform(nix, system):
    with pytest.raises(PackagesNotFound):
        await evaluate(nix, PACKAGES, ["no-such"], system)


INJECTED = [
    "curious${abort}",
    'curious";abort"',
    "curious''",
    "curious;id",
    "$(id)",
    "../curious",
    "Curious",
    "curious:${abort}",
    "curious:--upload-pack=id",
    "curious:a..b/../c",
    "curious:@{-1}",
    "flake/${abort}",
    "store/${abort}",
    "store/../../etc",
]


def test_no_door_lets_such_a_name_in(target):
    """Neither the command line's, nor the registry's."""
    done = target.daemon.command("pull", *INJECTED)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    assert "evaluation aborted" not in done.stdout
    for name in INJECTED:
        repository, _, tag = name.partition(":")
        answer = target.daemon.ask(f"/v2/{repository}/manifests/{tag or 'latest'}")
        assert answer.status in (400, 404)
    assert target.is_calm, target.log
