"""A real server on port 0, and clients that say exactly what they are told to."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11
import pytest
import trio

from nixeryd.builder.build_monitor import BuildMonitor
from nixeryd.builder.history import History
from nixeryd.daemon.activity import Live
from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.manifests import MANIFEST_TYPE
from nixeryd.images.referrers import Referrers
from nixeryd.images.served_manifests import BlobFile, Manifest, TagList
from nixeryd.runtime.changes import Changes
from nixeryd.web.app import create_app
from nixeryd.web.asgi import App
from nixeryd.web.connection_limit import ConnectionLimit
from nixeryd.web.hosts import Policy
from nixeryd.web.listen import open_tcp
from nixeryd.web.peers import Peers
from nixeryd.web.ports import ListenerKind
from nixeryd.web.serve import Limits, serve

HANG = 20  # seconds after which a test that should not wait is given up


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the spec's error JSON, which this must be, and no more."""
        assert self.headers["content-type"] == "application/json"
        (error,) = self.json["errors"]
        assert error["message"]
        assert set(error) <= {"code", "message", "detail"}
        return error["code"]


@dataclass
class Server:
    port: int
    stop: trio.Event
    stopped: trio.Event = field(default_factory=trio.Event)

    async def connect(self) -> "Client":
        return Client(await trio.open_tcp_stream("127.0.0.1", self.port))

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.request("GET", path, **headers)

    async def request(
        self, method: str, path: str, *, body: bytes = b"", **headers: str
    ) -> Answer:
        async with await self.connect() as client:
            return await client.request(method, path, body=body, **headers)


class Client(trio.abc.AsyncResource):
    """One connection: `request` for well-formed traffic, `stream` for the rest."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.h11 = h11.Connection(h11.CLIENT)

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self.stream)

    async def send(self, text: str) -> None:
        await self.stream.send_all(text.encode("latin1"))

    async def request(
        self, method: str, path: str, *, body: bytes = b"", **headers: str
    ) -> Answer:
        await self.ask(method, path, body=body, **headers)
        return await self.answer()

    async def ask(
        self, method: str, path: str, *, body: bytes = b"", **headers: str
    ) -> None:
        fields = {"host": "localhost", **headers}
        if body:
            fields["content-length"] = str(len(body))
        request = h11.Request(
            method=method,
            target=path,
            headers=[(name.replace("_", "-"), text) for name, text in fields.items()],
        )
        data = self.h11.send(request) or b""
        if body:
            data += self.h11.send(h11.Data(body)) or b""
        data += self.h11.send(h11.EndOfMessage()) or b""
        await self.stream.send_all(data)

    async def answer(self) -> Answer:
        """Read one response to its end, and be ready for the next."""
        response = await self.head()
        answer = Answer(
            response.status_code,
            {name.decode(): text.decode() for name, text in response.headers},
        )
        chunks = []
        while not isinstance(event := await self.event(), h11.EndOfMessage):
            chunks.append(bytes(event.data))
        answer.body = b"".join(chunks)
        if self.h11.our_state is h11.DONE and self.h11.their_state is h11.DONE:
            self.h11.start_next_cycle()
        return answer

    async def head(self) -> h11.Response:
        event = await self.event()
        while isinstance(event, h11.InformationalResponse):
            event = await self.event()
        assert isinstance(event, h11.Response), event
        return event

    async def event(self):
        with trio.fail_after(HANG):
            while (event := self.h11.next_event()) is h11.NEED_DATA:
                self.h11.receive_data(bytes(await self.stream.receive_some(65536)))
        return event

    async def rest(self) -> bytes:
        """Read until the server closes; a reset counts as a close."""
        data = b""
        with trio.fail_after(HANG):
            try:
                while chunk := await self.stream.receive_some(65536):
                    data += bytes(chunk)
            except trio.BrokenResourceError:
                pass
        return data


@asynccontextmanager
async def _serving(
    app: App,
    *,
    room: ConnectionLimit | None = None,
    limits: Limits | None = None,
    peers: Peers | None = None,
    listener: trio.SocketListener | None = None,
) -> AsyncIterator[Server]:
    """Serve until the block ends; then drain, which must not hang."""
    if listener is None:
        (listener,) = open_tcp(["127.0.0.1:0"])
    server = Server(listener.socket.getsockname()[1], trio.Event())

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await serve(
            app,
            [listener],
            stop=server.stop,
            room=room,
            limits=limits or Limits(),
            peers=peers,
            task_status=task_status,
        )
        server.stopped.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        yield server
        server.stop.set()
        with trio.fail_after(HANG):
            await server.stopped.wait()


class MemoryRegistry:
    """The `Registry` port over dictionaries; the blobs are real files."""

    def __init__(self, directory):
        self.directory = directory
        self.manifests = {}
        self.blobs = {}
        self.tag_lists = {}
        self.asked = []  # (route, origin)
        self.patience = []  # with which manifests were asked for

    def add_blob(self, data: bytes) -> Digest:
        digest = Digest.of(data)
        path = self.directory / digest.hex
        path.write_bytes(data)
        self.blobs[digest] = BlobFile(path, len(data), digest)
        return digest

    def add_manifest(self, name: str, tag: str, body: bytes) -> Digest:
        manifest = Manifest(body, Digest.of(body), MANIFEST_TYPE)
        repository = tuple(name.split("/"))
        self.manifests[repository, tag] = manifest
        self.manifests[repository, manifest.digest] = manifest
        self.tag_lists.setdefault(repository, []).append(tag)
        return manifest.digest

    async def manifest(self, request, origin, patience):
        self.asked.append((request, origin))
        self.patience.append(patience)
        found = self.manifests.get((request.repository, request.reference))
        match found:
            case None:
                raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, "no such image")
            case Exception():
                raise found
            case _ if callable(found):
                found = await found()
        return found

    async def blob(self, request, origin):
        self.asked.append((request, origin))
        if request.digest not in self.blobs:
            raise RegistryError(ErrorCode.BLOB_UNKNOWN, "no such blob")
        return self.blobs[request.digest]

    async def blob_head(self, request, origin):
        return await self.blob(request, origin)

    def stands_in(self, repository, origin):
        return (origin.mirror or origin.ns is not None) and repository[0] == "shell"

    async def tags(self, request, origin):
        self.asked.append((request, origin))
        if request.repository not in self.tag_lists:
            raise RegistryError(ErrorCode.NAME_UNKNOWN, "no such repository")
        return TagList(tuple(self.tag_lists[request.repository]))

    async def referrers(self, request, origin):
        self.asked.append((request, origin))
        return Referrers()


class MemoryArchive:
    """The `Archive` port over given chunks, the last of which may be an error."""

    def __init__(self, size, *chunks):
        self.size = size
        self.chunks = chunks

    @trio.as_safe_channel
    async def read(self):
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk


class MemoryCache:
    """The `Cache` port: notes what it is asked, and answers what it was given."""

    def __init__(self):
        self.asked = []
        self.answer = None

    async def _note(self, *asked):
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def images(self):
        return await self._note("images")

    async def show(self, name):
        return await self._note("show", name)

    async def remove(self, names):
        return await self._note("remove", names)

    async def collect(self, max_size, *, dry_run):
        return await self._note("collect", max_size, dry_run)

    async def pin(self, names, *, pinned):
        return await self._note("pin", names, pinned)

    async def export(self, name):
        return await self._note("export", name)

    @trio.as_safe_channel
    async def verify(self, *, repair):
        for event in await self._note("verify", repair):
            yield event


class MemoryControl:
    """The `AdminService` port: `scripts` says what each pull tells, then raises.

    Its `live` is the real one; tests put builds on its `board`.
    """

    def __init__(self, directory):
        changes = Changes()
        self.board = BuildMonitor(changes)
        self.history = History(directory)
        self.live = Live(changes, self.board, self.history)
        self.cache = MemoryCache()
        self.scripts = {}
        self.running = set()
        self.reloads = []
        self.offline = False
        self.all_platforms = False
        self.fresh = False

    def settings(self):
        return {"idle_exit": 5}

    async def reload(self):
        match self.reloads.pop(0):
            case Exception() as error:
                raise error
            case outcome:
                return outcome

    async def status(self):
        return {
            "images": len(self.scripts),
            "offline": "",
            "source": None,
            "nix": "nix 2.8.0",
        }

    def metrics(self):
        return "nixeryd_up 1\n"

    async def search(self, query, limit, *, describe):
        self.searched = (query, limit, describe)
        return {"source": "demo", "packages": []}

    async def renew_popularity(self):
        return {"origin": "store", "names": 0, "top": []}

    async def set_offline(self, *, offline):
        self.offline = offline

    @asynccontextmanager
    async def pull(self, name, *, all_platforms=False, fresh=False, asker=""):  # noqa: ARG002
        self.all_platforms = all_platforms
        self.fresh = fresh
        send, receive = trio.open_memory_channel(0)

        async def tell():
            with send:
                for event in self.scripts[name]:
                    if isinstance(event, Exception):
                        raise event
                    if isinstance(event, trio.Event):
                        await event.wait()
                    else:
                        await send.send(event)

        self.running.add(name)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tell)
                yield receive
                nursery.cancel_scope.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            self.running.discard(name)


@pytest.fixture
def serving():
    """Return `async with serving(app) as server:`."""
    return _serving


@pytest.fixture
def registry(tmp_path):
    return MemoryRegistry(tmp_path)


@pytest.fixture
def control(tmp_path):
    (tmp_path / "failures").mkdir()
    return MemoryControl(tmp_path / "failures")


@pytest.fixture
async def main(registry, control):
    app = create_app(registry, control, ListenerKind.MAIN, Policy())
    async with _serving(app) as server:
        yield server


@pytest.fixture
async def mirror(registry, control):
    app = create_app(registry, control, ListenerKind.MIRROR, Policy())
    async with _serving(app) as server:
        yield server


@pytest.fixture
async def admin(registry, control):
    app = create_app(registry, control, ListenerKind.ADMIN, Policy())
    async with _serving(app) as server:
        yield server
