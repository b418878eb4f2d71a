"""A client that sends any bytes, and reads answers strictly."""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import h11

PATIENCE = 60
"""Seconds until a server that should answer is given up."""
QUIET = 0.3
"""Seconds of silence after which we say that no more will come, if some do not end."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that came whole."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """All that came on a connection. `is_closed`: the server ended it by itself."""

    answers: Sequence[Answer]
    is_closed: bool
    raw: bytes

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]


def request(target: str, method: str = "GET", *lines: str, body: bytes = b"") -> bytes:
    """Write a request that is none but its target's or its lines' fault."""
    head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *lines])
    return f"{head}\r\n\r\n".encode("latin1") + body


def say(port: int, data: bytes, methods: Sequence[str], quiet: float) -> Heard:
    """Send bytes on a connection of their own, and hear what comes of them.

    After `quiet` seconds of silence we say that no more will come; on what the server
    has not answered yet, it may then give up. `methods` are those of the requests that
    the bytes may be read as: without them no answer to HEAD can be read. Fails if what
    comes is no HTTP.
    """
    got = bytearray()
    is_closed = True
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        try:
            sock.sendall(data)
            sock.settimeout(quiet)
            while chunk := sock.recv(1 << 16):
                got += chunk
        except TimeoutError:
            # It waits for more, or is slow: to be told that no more comes ends both.
            is_closed = False
            sock.settimeout(PATIENCE)
            try:
                sock.shutdown(socket.SHUT_WR)
                while chunk := sock.recv(1 << 16):
                    got += chunk
            except OSError:
                pass
        except OSError:
            pass  # reset: it had heard enough
    return Heard(read_answers(bytes(got), methods), is_closed, bytes(got))


def read_answers(data: bytes, methods: Sequence[str]) -> list[Answer]:
    """Read responses one after the other; those that were cut are left out."""
    answers: list[Answer] = []
    for method in (*methods, *["GET"] * 50):
        if not data:
            return answers
        client = h11.Connection(h11.CLIENT)
        # CONNECT would change the protocol if it were answered with 2xx; never is.
        asked = "GET" if method == "CONNECT" or not method.isalpha() else method
        client.send(h11.Request(method=asked, target="/", headers=[("host", "x")]))
        client.send(h11.EndOfMessage())
        client.receive_data(data)
        status, headers, body = 0, {}, b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return answers
            if isinstance(event, h11.Response):
                status = event.status_code
                headers = {k.decode(): v.decode("latin1") for k, v in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
        answers.append(Answer(status, headers, body))
        data, _ = client.trailing_data
    raise AssertionError(f"more answers than requests: {data[:200]!r}")


def heads(data: bytes) -> list[int]:
    """List the status of every response that began."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]
