"""Talk to the daemon on its admin socket: plain HTTP, one request at a time."""

import http.client
import json
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nixeryd.cli.main import FAILED, NO_DAEMON
from nixeryd.config import paths
from nixeryd.config.ownership import is_strangers
from nixeryd.config.settings import load_settings
from nixeryd.images.errors import NixerydError
from nixeryd.runtime.sockdiag import unix_peer_uid
from nixeryd.runtime.strangers import ports_of, strangers_at

_CHUNK = 1024 * 1024  # bytes


class NoDaemon(NixerydError):  # noqa: N818  what is the matter
    """Nobody answers."""

    exit_code = NO_DAEMON


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        if is_strangers(self._path):
            raise PermissionError  # somebody else listens; told nothing
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))
        # The file may have been given to us; who listens cannot be.
        if os.geteuid() and unix_peer_uid(self.sock) not in {None, 0, os.geteuid()}:
            raise PermissionError


class Client:
    """The daemon that the user's settings mean."""

    def __init__(self, config: Path | None, data_dir: Path | None) -> None:
        flags = {"data_dir": str(data_dir)} if data_dir else {}
        settings = load_settings(config, flags=flags)
        self._path = paths.runtime_dir(settings.data_path) / "admin.sock"
        self._ports = ports_of((*settings.listen, *settings.mirror_listen))

    def strangers(self, listeners: Iterable[str]) -> list[str]:
        """Say which ports of a daemon's listeners other users listen at, and who.

        Whose daemon it is, is told by its admin socket.
        """
        return strangers_at(ports_of(listeners), also=[self._path.stat().st_uid])

    def get(self, path: str) -> Any:
        """Ask for JSON."""
        with self._ask("GET", path) as response:
            return json.load(response)

    def post(self, path: str, body: object = None) -> Any:
        """Have something done; gives the JSON that tells how it went."""
        text = None if body is None else json.dumps(body)
        with self._ask("POST", path, text) as response:
            return json.load(response)

    def follow(self, path: str, body: object) -> Iterator[dict[str, Any]]:
        """Post JSON and give each line of the answer as it comes."""
        with self._ask("POST", path, json.dumps(body)) as response:
            try:
                for line in response:
                    yield json.loads(line)
            except (http.client.HTTPException, ValueError, OSError) as error:
                raise NixerydError("the daemon broke off; see its log") from error

    @contextmanager
    def download(self, path: str) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Return a file's size and its chunks, which end only if it is whole."""
        with self._ask("GET", path) as response:
            size = response.length or 0
            yield size, _chunks(response, size)

    def _ask(
        self, method: str, path: str, body: str | None = None
    ) -> http.client.HTTPResponse:
        connection = _UnixConnection(self._path)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            told = [
                f"no daemon answers on {self._path}: start one with `nixeryd serve`",
                *(
                    f"{one}: do not pull from there"
                    for one in strangers_at(self._ports)
                ),
            ]
            raise NoDaemon("\n".join(told)) from error
        except PermissionError as error:
            raise NoDaemon(
                f"{self._path} belongs to another user's daemon: start one of your own"
                " with `nixeryd serve`"
            ) from error
        except (http.client.HTTPException, OSError) as error:
            raise NoDaemon(f"no answer from {self._path}: {error}") from error
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            raise NixerydError(_message(response))
        return response


def _chunks(response: http.client.HTTPResponse, size: int) -> Iterator[bytes]:
    left = size
    try:
        while chunk := response.read(_CHUNK):
            left -= len(chunk)
            yield chunk
    except (http.client.HTTPException, OSError) as error:
        raise NixerydError("the daemon broke off; see its log") from error
    if left:
        raise NixerydError("the daemon broke off; see its log")


def _message(response: http.client.HTTPResponse) -> str:
    try:
        return str(json.load(response)["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        return f"the daemon answers {response.status} {response.reason}"


__all__ = ["FAILED", "Client", "NoDaemon"]
