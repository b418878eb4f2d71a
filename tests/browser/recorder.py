"""A site that serves what attacks, and writes down what a browser asks of the daemon.

With a port `behind` it is what a rebound name is: the attacker's page comes from the
same origin as the daemon, whose answers it hands on as they are.
"""

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

PATIENCE = 60
"""Seconds until a request that a browser should send is given up."""
_HEAD = 64 * 1024  # bytes of an answer that are handed on
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")

Served: TypeAlias = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came, and how the daemon answered it."""

    method: str
    path: str
    headers: dict[str, str]
    status: int


class Recorder:
    """One listener; `pages` answers what is below /attack/, by Host and path."""

    def __init__(self, pages: Callable[[str, str], Served], behind: int = 0) -> None:
        self.pages = pages
        self.behind = behind
        self._came = threading.Condition()
        self._asked: list[Asked] = []
        handler = type("Handler", (_Handler,), {"recorder": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def note(self, asked: Asked) -> None:
        with self._came:
            self._asked.append(asked)
            self._came.notify_all()

    def of(self, tag: str) -> list[Asked]:
        """Return the requests that hold this tag."""
        with self._came:
            return [one for one in self._asked if tag in one.path]

    def wait_for(self, tag: str) -> bool:
        """Wait until a request with this tag has come; tell whether it has."""
        with self._came:
            return self._came.wait_for(
                lambda: any(tag in one.path for one in self._asked), PATIENCE
            )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    recorder: Recorder

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/attack/"):
            served = self.recorder.pages(self.headers["Host"], self.path)
        else:
            served = self.hand_on(body) if self.recorder.behind else (404, {}, b"")
            headers = {name.lower(): text for name, text in self.headers.items()}
            self.recorder.note(Asked(self.command, self.path, headers, served[0]))
        status, fields, data = served
        self.send_response(status)
        for name, text in fields.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def hand_on(self, body: bytes) -> Served:
        daemon = http.client.HTTPConnection(
            "127.0.0.1", self.recorder.behind, timeout=PATIENCE
        )
        daemon.putrequest(
            self.command, self.path, skip_host=True, skip_accept_encoding=True
        )
        for name, text in self.headers.items():
            daemon.putheader(name, text)
        daemon.endheaders(body)
        response = daemon.getresponse()
        data = response.read(_HEAD)
        kind = response.getheader("Content-Type", "text/plain")
        daemon.close()
        return response.status, {"Content-Type": kind}, data

    def log_message(self, *_: object) -> None:
        pass


for _method in _METHODS:
    setattr(_Handler, f"do_{_method}", _Handler.answer)
