"""What it costs to ask the kernel who is at the other end of a connection.

    python -m benchmarks.peers [--runs N]

It is asked once for each connection (`nixeryd.web.peers`); whether that user is
answered is looked up for each request. `/proc/net/tcp` says the same, and is
read as a whole.
"""

import argparse
import contextlib
import functools
import socket
import time
from collections.abc import Callable
from pathlib import Path

import trio

from benchmarks import measure
from nixeryd.runtime.sockdiag import SockDiag
from nixeryd.web.peers import Peers

_TIMES = 5000
_OTHERS = 400  # connections; each has two ends here


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    runs = parser.parse_args().runs
    with contextlib.ExitStack() as stack:
        kernel = stack.enter_context(SockDiag())
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        peers = Peers(frozenset(), kernel)

        def connect() -> socket.socket:
            address = listener.getsockname()
            stack.enter_context(socket.create_connection(address))
            return stack.enter_context(listener.accept()[0])

        sock = connect()
        uid = peers.uid(sock)
        contenders = {
            measure.OURS: lambda: _each(functools.partial(peers.uid, sock)),
            "/proc/net/tcp": lambda: _each(Path("/proc/net/tcp").read_bytes, 200),
        }
        results = [
            measure.alternate("who asks, few connections", "µs", contenders, runs)
        ]
        for _ in range(_OTHERS):
            connect()
        what = f"who asks, {_OTHERS} more connections"
        results += [
            measure.alternate(what, "µs", contenders, runs),
            measure.alternate(
                "whether they are answered",
                "µs",
                {measure.OURS: lambda: trio.run(_refusals, peers, uid)},
                runs,
            ),
        ]
    print(measure.render(results))


def _each(ask: Callable[[], object], times: int = _TIMES) -> float:
    began = time.perf_counter()
    for _ in range(times):
        ask()
    return (time.perf_counter() - began) / times * 1e6


async def _refusals(peers: Peers, uid: int | None) -> float:
    began = time.perf_counter()
    for _ in range(_TIMES):
        await peers.refusal(uid)
    return (time.perf_counter() - began) / _TIMES * 1e6


if __name__ == "__main__":
    main()
