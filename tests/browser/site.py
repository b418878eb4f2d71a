"""A daemon whose builds do what a test tells them to, and one that can restart."""

import os
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tests.e2e.serving import start

PACKAGES = Path(__file__).with_name("packages.nix")
PATIENCE = 120


class Site:
    """One daemon at a time, always at the same address."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._gates = place / "gates"
        self._gates.mkdir()
        # A salt of its own: no store has seen these packages.
        self._environ = {
            "NIX_CONFIG": "substitute = false\nsandbox = false\nbuild-users-group =\n",
            "NIXERYD_TEST_GATE": str(self._gates),
            "NIXERYD_TEST_SALT": uuid4().hex,
        }
        self.port = self.mirror_port = 0
        self._process = None

    def start(self) -> None:
        again = [f"--listen=127.0.0.1:{self.port}"] if self.port else []
        self._process = start(
            self._place, f"--nixpkgs={PACKAGES}", *again, environ=self._environ
        )
        ready = self._process.wait_for_line(r"docker run .*localhost:(\d+)/")
        self.port = self.port or int(ready[1])
        mirror = self._process.wait_for_line(r"^mirror +http://127\.0\.0\.1:(\d+)$")
        self.mirror_port = int(mirror[1])

    def stop(self) -> None:
        assert self._process.end() == 0, self._process

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def get(self, path: str) -> bytes:
        request = urllib.request.Request(
            self.url + path, headers={"User-Agent": "docker/29.1 go/go1.24"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.read()

    def manifest_path(self, name: str) -> str:
        return f"/v2/{name}/manifests/latest"

    @contextmanager
    def pulling(self, name: str) -> Iterator[None]:
        """Have a client wait for an image; it must have got it in the end."""
        failed = []

        def pull() -> None:
            try:
                self.get(self.manifest_path(name))
            except OSError as error:
                failed.append(error)

        client = threading.Thread(target=pull)
        client.start()
        yield
        client.join(PATIENCE)
        assert not client.is_alive()
        assert not failed

    @contextmanager
    def building(self, package: str) -> Iterator["Teller"]:
        """Have a client wait for what is built as we say; at the end it is done."""
        fifo = self._gates / package
        os.mkfifo(fifo)
        # For reading as well: so neither side has to be there first.
        fd = os.open(fifo, os.O_RDWR)
        teller = Teller(fd)
        try:
            with self.pulling(package):
                try:
                    yield teller
                finally:
                    teller.say("end")
        finally:
            os.close(fd)
            fifo.unlink()


class Teller:
    """Tells a builder what to say."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def say(self, line: str) -> None:
        os.write(self._fd, line.encode() + b"\n")
