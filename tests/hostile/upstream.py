"""A registry that answers as it is told to, byte by byte, or else honestly.

What it says instead is a list of `Act`s, taken in turn, one for each request. Nothing
here checks that it is HTTP.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from tests.upstream.registries import INDEX, LAYER, MANIFEST, Image, digest_of

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Act:
    """One answer. `body` None: what was asked for, if there is such a thing.

    `length` is what Content-Length claims, None for none; `chunked` adds that coding;
    `repeat` sends the body again and again. `closes` hangs up afterwards.
    """

    status: str = "200 OK"
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    length: int | None = None
    chunked: bool = False
    repeat: int = 1
    cut: int | None = None
    closes: bool = True

    def __repr__(self) -> str:
        body = self.body if self.body is None else self.body[:40]
        return (
            f"Act({self.status!r}, {[*self.headers]!r}, {body!r}, length={self.length},"
            f" chunked={self.chunked}, repeat={self.repeat}, cut={self.cut},"
            f" closes={self.closes})"
        )


@dataclass
class HostileRegistry:
    """`images` are what it really has, by tag; `acts` what it does first."""

    images: dict[str, Image] = field(default_factory=dict)
    acts: list[Act] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)
            task_status.started()

    async def _serve(self, stream: trio.SocketStream) -> None:
        try:
            while head := await _read_head(stream):
                self.heads.append(head)
                method, target, *_ = head.split(b" ")
                self.asked.append(f"{method.decode()} {target.decode()}")
                act = self.acts.pop(0) if self.acts else None
                await self._answer(stream, method, target.decode(), act or Act())
                if act is not None and act.closes:
                    return
        except trio.BrokenResourceError:
            return
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async def _answer(self, stream, method: bytes, target: str, act: Act) -> None:
        known, kind = self.find(target)
        body, status, length = act.body, act.status, act.length
        if body is None:
            body = known or b""
            status = status if known is not None else "404 Not Found"
            length = len(body) if length is None and not act.chunked else length
        fields = [*act.headers]
        names = {name.lower() for name, _ in fields}
        if kind and "content-type" not in names:
            fields.append(("Content-Type", kind))
        if length is not None:
            fields.append(("Content-Length", str(length)))
        if act.chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        head = f"HTTP/1.1 {status}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields)
        await stream.send_all(head.encode("latin1", "replace") + b"\r\n")
        if method != b"HEAD":
            await _send_body(stream, act, body)

    def find(self, target: str) -> tuple[bytes | None, str]:
        """Return what is at a target, and its type."""
        path = target.partition("?")[0]
        *_, kind, last = path.split("/") if path.count("/") > 1 else ("", "", path)
        if kind == "tags":
            tags = {"name": "x", "tags": sorted(self.images)}
            return json.dumps(tags).encode(), "application/json"
        for tag, image in self.images.items():
            if kind == "manifests" and last in (tag, image.digest):
                return image.manifest, MANIFEST
            for blob in (image.config, *image.layers) if kind == "blobs" else ():
                if last == digest_of(blob):
                    return blob, "application/octet-stream"
        return None, ""


async def _read_head(stream) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.receive_some(_CHUNK)
        if not data:
            return b""
        head += data
    return head


async def _send_body(stream, act: Act, body: bytes) -> None:
    sent = 0
    for _ in range(act.repeat):
        piece = body if act.cut is None else body[: max(0, act.cut - sent)]
        if piece and act.chunked:
            piece = b"%x\r\n%s\r\n" % (len(piece), piece)
        if piece:
            await stream.send_all(piece)
        sent += len(body)
    if act.chunked and act.cut is None:
        await stream.send_all(b"0\r\n\r\n")


def manifest_of(*sizes: int, config: int = 2) -> bytes:
    """Make a manifest whose layers claim these sizes."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "c", "digest": digest_of(b"{}"), "size": config},
            "layers": [
                {"mediaType": LAYER, "digest": digest_of(b"%d" % at), "size": size}
                for at, size in enumerate(sizes)
            ],
        }
    ).encode()


def index_of(digests: Sequence[str]) -> bytes:
    """Make an index of these images."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                {"mediaType": MANIFEST, "digest": digest, "size": 7}
                for digest in digests
            ],
        },
        separators=(",", ":"),
    ).encode()
