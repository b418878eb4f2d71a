"""A binary cache on the loopback interface that does what it is told, good or bad.

It offers files of any contents under the store paths it is given: nothing has to be
built for it. Paths are not signed (`require-sigs = false`).

https://nix.dev/manual/nix/latest/protocols/store-path, nix-archive and "Binary Cache".
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from nixeryd.nix.evaluate import evaluate
from nixeryd.nix.process import Nix

HANG = "hang"
"""What `faults` may give for a path: take the request, and never answer."""
STALL = "stall"
"""Answer with half of the body, and never with the rest."""
CUT = "cut"
"""Answer with half of the body, and hang up."""
LIE = "lie"
"""Answer with another body of the same size."""
MISSING = "missing"
BROKEN = "broken"
"""Answer with 500."""


def nar_of_file(contents: bytes) -> bytes:
    """Write the NAR of one file."""

    def string(data: bytes) -> bytes:
        return len(data).to_bytes(8, "little") + data + b"\0" * (-len(data) % 8)

    words = (b"nix-archive-1", b"(", b"type", b"regular", b"contents", contents, b")")
    return b"".join(map(string, words))


class BinaryCache:
    """Serves store paths; `faults` decides by the path of a request what goes wrong."""

    def __init__(self) -> None:
        self.faults: Callable[[str], str | None] = lambda _: None
        self.asked: list[str] = []
        self._files: dict[str, bytes] = {
            "/nix-cache-info": b"StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 9\n"
        }
        self.released = threading.Event()
        cache = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                cache._answer(self)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def add(self, path: str, contents: bytes, references: Sequence[str] = ()) -> None:
        """Offer a store path that is one file."""
        nar = nar_of_file(contents)
        digest = hashlib.sha256(nar).hexdigest()
        base = path.rpartition("/")[2]
        self._files[f"/nar/{base}.nar"] = nar
        self._files[f"/{base[:32]}.narinfo"] = (
            f"StorePath: {path}\nURL: nar/{base}.nar\nCompression: none\n"
            f"FileHash: sha256:{digest}\nFileSize: {len(nar)}\n"
            f"NarHash: sha256:{digest}\nNarSize: {len(nar)}\n"
            f"References: {' '.join(one.rpartition('/')[2] for one in references)}\n"
        ).encode()

    def nars_asked(self) -> list[str]:
        """List the NARs that were asked for."""
        return [path for path in self.asked if path.startswith("/nar/")]

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        body = self._files.get(request.path)
        fault = self.faults(request.path)
        if fault == HANG:
            self.released.wait()
            request.close_connection = True
            return
        if body is None or fault in (MISSING, BROKEN):
            request.send_response(500 if fault == BROKEN else 404)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command == "HEAD":
            return
        if fault == LIE:
            body = bytes(byte ^ 1 for byte in body)
        half = len(body) // 2
        request.wfile.write(body[:half])
        request.wfile.flush()
        if fault in (STALL, CUT):
            if fault == STALL:
                self.released.wait()
            request.close_connection = True
            return
        request.wfile.write(body[half:])

    def close(self) -> None:
        """Answer nobody any more: connections are refused."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def binary_cache() -> Iterator[BinaryCache]:
    """Serve a cache until the end of the block."""
    cache = BinaryCache()
    serving = threading.Thread(target=cache._server.serve_forever, args=(0.02,))
    serving.start()
    try:
        yield cache
    finally:
        cache.close()
        serving.join()


def chain(number: int, salt: str) -> str:
    """Write a package set p0, p1, …, each of which needs the one before."""
    return f"""{{ system }}: let
      make = n: derivation {{
        name = "p${{toString n}}"; inherit system; salt = "{salt}"; builder = "/bin/sh";
        args = [ "-c" "echo ${{toString (if n == 0 then "" else at (n - 1))}} > $out" ];
      }};
      at = builtins.elemAt (builtins.genList make {number});
    in builtins.listToAttrs (builtins.genList (n: {{
      name = "p${{toString n}}"; value = at n; }}) {number})"""


async def chain_of_packages(  # noqa: PLR0917  a fixture for two directories
    nix: Nix, cache: BinaryCache, source: Path, number: int, system: str, size: int
) -> str:
    """Offer such a set, the last of it large; gives the last one's installable."""
    names = [f"p{n}" for n in range(number)]
    packages = (await evaluate(nix, source, names, system)).packages
    paths = [package.outputs[0] for package in packages]
    for n, path in enumerate(paths):
        contents = os.urandom(size if n == number - 1 else 500)
        cache.add(path, contents, paths[n - 1 : n])
    return packages[-1].installable


def served_only_by(cache: BinaryCache, nix: Nix, home: Path) -> Nix:
    """Return a Nix that knows this cache alone, and remembers nothing of others."""
    lines = [
        "substitute = true",
        f"substituters = {cache.url}",
        "require-sigs = false",
        "build-users-group =",
        "sandbox = false",
        "download-attempts = 2",
        "narinfo-cache-negative-ttl = 0",
    ]
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home)}
    return replace(nix, environment={"NIX_CONFIG": "\n".join(lines), **places})
