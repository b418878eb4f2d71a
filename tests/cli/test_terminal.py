"""What others wrote is text: each command on a real terminal, told the worst.

A registry's images, builders and packages can say all this (`EVIL`). Of what reaches
the terminal only colours and rich's movements are not printable.
"""

import json
import re
import subprocess
import sys

import pytest

from tests.cli.liar import lying
from tests.cli.test_main import NIXERYD
from tests.e2e.processes import bare_environment
from tests.e2e.terminal import Terminal

EVIL = "\x1b]52;c;ZXZpbA==\x07\x1b]0;mine\x07\x1b[8m\x9b2J\u202eabc\r\b\x1bc\x00\udc9b"
# Colours of ours, and what rich does to show a line anew.
OURS = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[lh]|[0-9]*[AK]|2K|1A)|\r")
DIGEST = "sha256:" + "0" * 64
IMAGE = {
    "kind": "mirrored",
    "repository": f"docker.io/{EVIL}",
    "tag": f"1{EVIL}",
    "digest": DIGEST + EVIL,
    "size": 1,
    "unique": 1,
    "missing": 0,
    "used": 0.0,
    "since": 0.0,
    "pinned": False,
}
BUILD = {
    "digest": DIGEST,
    "source": EVIL,
    "revision": EVIL,
    "dirty": True,
    "built": 0.0,
}
DETAILS = {
    "image": IMAGE,
    "media_type": EVIL,
    "platform": EVIL,
    "config": {
        "User": EVIL,
        "Env": [EVIL, f"A\nimage      forged{EVIL}"],
        "Entrypoint": [EVIL],
        "Cmd": [EVIL],
        "WorkingDir": EVIL,
    },
    "layers": [
        {"digest": EVIL, "size": 1, "here": True, "created_by": EVIL, "paths": []},
        {"digest": EVIL, "size": 1, "here": True, "created_by": "", "paths": [EVIL]},
    ],
    "variants": [{"platform": EVIL, "digest": EVIL, "here": False}],
    "history": [{"digest": EVIL, "since": 0.0}] * 2,
    "builds": [BUILD],
}
STATUS = {
    "version": EVIL,
    "pid": 1,
    "listeners": {"main": ["127.0.0.1:5000"], "mirror": [], "admin": []},
    "source": {"name": EVIL, "path": EVIL, "revision": EVIL, "state": EVIL},
    "strangers": [EVIL],
    "offline": EVIL,
    "images": 1,
    "mirrored": 1,
    "cache": {"size": 1, "cap": None, "checked": None},
    "data_dir": EVIL,
    "nix": EVIL,
    "upstreams": [],
    "builds": [
        {
            "repository": EVIL,
            "tag": EVIL,
            "seconds": 1.0,
            "queued": False,
            "phase": EVIL,
        }
    ],
    "downloads": [],
}
FAILURES = [{"repository": EVIL, "tag": EVIL, "since": 0.0, "message": EVIL}]
PULLED = [
    {"name": "a", "type": "phase", "phase": "evaluate"},
    {"name": "a", "type": "building", "drv": f"/nix/store/x-{EVIL}", "phase": EVIL},
    {"name": "a", "type": "log", "line": EVIL},
    {"name": "a", "type": "log", "line": f"[red]{EVIL}[/] \\"},
    {"name": "a", "type": "error", "code": EVIL, "message": f"{EVIL}\n{EVIL}"},
]
FETCHED = [
    {"name": "b", "type": "phase", "phase": "resolve"},
    {"name": "b", "type": "warning", "message": EVIL},
    {"name": "b", "type": "error", "code": "DENIED", "message": EVIL},
]
ANSWERS = {
    "/api/v1/status": STATUS,
    "/api/v1/failures": json.dumps(FAILURES).encode(),
    "/api/v1/images": {
        "images": [IMAGE],
        "unnamed": {"manifests": 1, "size": 1},
        "size": 1,
        "cap": None,
    },
    "/api/v1/images/remove": {
        "freed": 1,
        "left": 1,
        "manifests": 1,
        "blobs": 1,
        "images": [EVIL],
    },
    "/api/v1/images/pin": {"names": [EVIL]},
    "/api/v1/image?": DETAILS,
    "/api/v1/search": {
        "packages": [{"name": EVIL, "version": EVIL, "description": EVIL}]
    },
    "/api/v1/config": {EVIL: EVIL},
    "/api/v1/pull": [*PULLED, *FETCHED],
}
COMMANDS = [
    ("status",),
    ("list",),
    ("show", "a"),
    ("rm", "a"),
    ("pin", "a"),
    ("search", "a"),
    ("config", "show", "--running"),
    ("pull", "a", "b"),
    ("pull", EVIL.replace("\x00", "").replace("\udc9b", "")),
    ("show", "a", "--json"),
]


def shown_by(tmp_path, *words):
    terminal = Terminal([NIXERYD, *words], bare_environment(LANG="C.UTF-8"))
    terminal.wait()
    terminal.close()
    return terminal.shown


def is_harmless(shown):
    rest = OURS.sub("", shown).replace("\n", "").replace("\t", "")
    assert rest.isprintable(), [char for char in rest if not char.isprintable()]
    assert "\x1b[8m" not in shown
    return True


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: ascii(" ".join(words)))
def test_a_command_shows_what_others_wrote_and_does_not_do_it(tmp_path, words):
    data = tmp_path / "data"
    with lying(data, ANSWERS):
        shown = shown_by(tmp_path, *words, f"--data-dir={data}")
    assert is_harmless(shown)
    assert "52;c;ZXZpbA==" in shown  # it was told, and can be read


def test_no_value_forges_a_line(tmp_path):
    data = tmp_path / "data"
    with lying(data, ANSWERS):
        shown = shown_by(tmp_path, "show", "a", f"--data-dir={data}")
    assert not re.search(r"^image +forged", shown, re.MULTILINE)


@pytest.mark.parametrize(
    "words",
    [
        (EVIL.replace("\x00", "").replace("\udc9b", ""),),
        ("show", "a", f"--config=/nowhere/{EVIL[:30]}"),
        ("status", f"--data-dir=/nowhere/{EVIL[:30]}"),
        ("config", "check", f"/nowhere/{EVIL[:30]}"),
    ],
)
def test_an_error_shows_names_and_does_nothing_with_them(tmp_path, words):
    assert is_harmless(shown_by(tmp_path, *words))


def test_a_traceback_is_text_too(tmp_path):
    install = "from nixeryd.cli import terminal; terminal.install()"
    code = f"{install}; raise ValueError({EVIL!r})"
    terminal = Terminal([sys.executable, "-c", code], bare_environment())
    terminal.wait()
    terminal.close()
    assert "Traceback" in terminal.shown
    assert is_harmless(terminal.shown)


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {}])
def test_there_are_colours_on_a_terminal_only(tmp_path, variables):
    words = [NIXERYD, "config", "show"]
    piped = subprocess.run(
        words, capture_output=True, env=bare_environment(**variables), check=True
    )
    assert b"\x1b" not in piped.stdout
    terminal = Terminal(words, bare_environment(**variables))
    terminal.wait()
    terminal.close()
    assert ("\x1b[36m" in terminal.shown) == (not variables)


def test_an_ascii_locale_still_shows_it(tmp_path):
    data = tmp_path / "data"
    with lying(data, ANSWERS):
        done = subprocess.run(
            [NIXERYD, "show", "a", f"--data-dir={data}"],
            capture_output=True,
            env=bare_environment(PYTHONIOENCODING="ascii", LC_ALL="C"),
            check=True,
        )
    assert is_harmless(done.stdout.decode())
