"""Random requests to a real daemon: no 5xx, no traceback, nothing left afterwards."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from tests.e2e.serving import ODD, Daemon, odd_source, serving
from tests.fuzz import draw
from tests.hostile.wire import PATIENCE, request, say

_BATCH = 25
_AT_ONCE = 3
_LAST = request("/v2/canary/tags/list", "GET", "Connection: close")


def knock(place: Path, seed: int, count: int) -> Counter[int]:
    """Send `count` requests to both listeners; return how often which status came."""
    statuses: Counter[int] = Counter()
    flags = (*odd_source(place), "--offline")
    with serving(place, *flags, environ=ODD) as daemon:
        ports = (daemon.port, daemon.mirror.port)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            batches = range(0, count, _BATCH)
            for found in pool.map(
                lambda at: _ask(ports[at // _BATCH % 2], f"{seed} {at}", count - at),
                batches,
            ):
                statuses += found
        _is_well(daemon)
        pid = daemon.process.pid
    assert not _of_session(pid), "a process is left"
    return statuses


def _ask(port: int, seed: str, left: int) -> Counter[int]:
    rng = Random(seed)
    drawn = [draw.request(rng) for _ in range(min(_BATCH, left))]
    statuses: Counter[int] = Counter()
    while drawn:
        data = b"".join(one for _, one in drawn)
        heard = say(port, data + _LAST, [method for method, _ in drawn], PATIENCE)
        for answer in heard.answers:
            assert answer.status < 500 or answer.status == 501, (seed, answer)
            assert b"Traceback" not in answer.body, seed
        got = heard.statuses[: len(drawn)] or [0]  # 0: closed without an answer
        statuses += Counter(got)
        # One that ends the connection takes those behind it along: they come again.
        drawn = drawn[len(got) :]
    return statuses


def _is_well(daemon: Daemon) -> None:
    log = daemon.process.output
    assert "Traceback" not in log, log[-5000:]
    assert log.replace("\n", "").isprintable(), ascii(log[-5000:])
    refusals = [line for line in daemon.process.lines if "refused: " in line]
    assert len(refusals) < 30, "a refusal is logged once per kind"
    assert daemon.ask("/healthz").status == 200


def _of_session(pid: int) -> list[str]:
    """List the processes of a session whose leader has ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        if int(rest.split()[3]) == pid:
            found.append(stat.parent.name)
    return found
