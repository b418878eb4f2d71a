"""Lines of the log: nothing that others wrote is for the terminal, or forges one."""

import json
import subprocess
import sys

import pytest

from tests.cli.test_terminal import EVIL

SAY = """
import logging, sys
from nixeryd.runtime.logs import set_up_logging
set_up_logging(sys.argv[1])
log = logging.getLogger("x")
evil = {evil!r}
log.warning("it said %s\\n2026-11-24T00:00:00 [error    ] forged", evil)
log.warning("<0>a journal's priority\\n<0>emergency")
try:
    raise ValueError(evil + "\\n2026-11-24T00:00:00 [error    ] forged")
except ValueError:
    log.exception("a request failed")
"""


@pytest.fixture(params=["text", "json"])
def said(request):
    code = SAY.format(evil=EVIL)
    done = subprocess.run(
        [sys.executable, "-c", code, request.param], capture_output=True, check=True
    )
    return request.param, done.stderr.decode()


def test_nothing_in_a_log_is_for_the_terminal_and_no_line_is_forged(said):
    kind, text = said
    assert text.replace("\n", "").isprintable()
    assert "52;c;ZXZpbA==" in text
    begun = [line for line in text.splitlines() if not line.startswith("    ")]
    assert len(begun) == 3
    assert not any("forged" in line[:40] or line.startswith("<") for line in begun)
    if kind == "json":
        assert all(json.loads(line) for line in begun)
