"""What the user does to the cache meanwhile: pin, unpin, rm, gc, verify, export.

Two users at once, on the admin socket; each pins and unpins other names, so that the
ledger knows what must stay: what was pinned and then pulled whole, until that user says
unpin.
"""

import hashlib
import io
import json
import random
import tarfile
import zlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Self

import httpx
import trio

from tests.e2e.serving import Daemon
from tests.torture.ledger import Ledger
from tests.torture.traffic import Broken, Clients, Wrong

_SIZES = (0, 100_000, 1_000_000)


class Care:
    """A user at the command line of one daemon."""

    def __init__(
        self, daemon: Daemon, ledger: Ledger, clients: Clients, share: int = 0
    ) -> None:
        self._ledger = ledger
        self._share = share
        self._clients = clients
        socket = httpx.AsyncHTTPTransport(uds=str(daemon.data / "admin.sock"))
        self._http = httpx.AsyncClient(
            transport=socket, base_url="http://localhost", timeout=60
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *args: object) -> None:
        await self._http.aclose()

    async def do_something(self, rng: random.Random) -> None:
        name = self._choose(rng, self._ledger.pulled)
        what = rng.random()
        if what < 0.3:
            await self.pin(name)
        elif what < 0.45:
            await self._unpin(self._choose(rng, self._ledger.kept))
        elif what < 0.65:
            await self._remove(name)
        elif what < 0.8:
            await self._post("gc", {"max_size": rng.choice(_SIZES)})
        elif what < 0.9:
            if broken := await self.verify():
                raise Wrong(f"verify found broken: {broken}")
        else:
            await self._export(name)

    def _choose(self, rng: random.Random, names: Iterable[str]) -> str:
        own = [name for name in names if zlib.crc32(name.encode()) % 2 == self._share]
        return rng.choice(sorted(own) or ["never-pulled"])

    async def pin(self, name: str) -> None:
        answer = await self._post("images/pin", {"names": [name]})
        if answer.is_success:
            await self._clients.pull(name)
            self._ledger.kept.add(name)

    async def _unpin(self, name: str) -> None:
        self._ledger.kept.discard(name)
        await self._post("images/pin", {"names": [name], "pinned": False})

    async def _remove(self, name: str) -> None:
        answer = await self._post("images/remove", {"names": [name]})
        if answer.is_success and name in self._ledger.kept:
            raise Wrong(f"{name} was pinned, and is removed")

    async def verify(self) -> dict[str, str]:
        """Have all mended; give the digests of what was broken, and why."""
        answer = await self._post("verify", {"repair": True})
        last = json.loads(answer.text.splitlines()[-1])
        if "broken" not in last:
            raise Broken(f"verify: {answer.text[-300:]}")
        return {one["digest"]: one["why"] for one in last["broken"]}

    async def _export(self, name: str) -> None:
        self._ledger.requests += 1
        answer = await self._http.get("/api/v1/image/archive", params={"name": name})
        _refuse_defect("export", answer)
        if not answer.is_success:
            return  # not here, or not whole
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
            files = {
                one.name: archive.extractfile(one).read()
                for one in archive
                if one.isfile()
            }
        for path, body in files.items():
            if path.startswith("blobs/") and not path.endswith(
                hashlib.sha256(body).hexdigest()
            ):
                raise Wrong(f"export of {name}: {path} has other bytes")
        (manifest,) = json.loads(files["index.json"])["manifests"]
        if manifest["digest"] != self._ledger.pulled.get(name):
            raise Wrong(f"export of {name}: it is {manifest['digest']}")

    async def _post(self, what: str, body: Any) -> httpx.Response:
        self._ledger.requests += 1
        answer = await self._http.post(f"/api/v1/{what}", json=body)
        _refuse_defect(what, answer)
        return answer


async def tend(
    daemon: Daemon, ledger: Ledger, rng: random.Random, rest: float = 0.1
) -> None:
    """Do all that until cancelled; each rests for up to so many seconds in between."""

    async def user(share: int, rng: random.Random) -> None:
        async with Care(daemon, ledger, clients, share) as care:
            while True:
                with suppress(httpx.HTTPError, Broken):
                    await care.do_something(rng)
                ledger.cared += 1
                await trio.sleep(rng.uniform(0, rest))

    async with Clients(daemon, ledger) as clients, trio.open_nursery() as nursery:
        for share in range(2):
            nursery.start_soon(user, share, random.Random(rng.random()))


def _refuse_defect(what: str, answer: httpx.Response) -> None:
    if answer.status_code >= 500 or b"Traceback" in answer.content:
        raise Wrong(f"{what}: {answer.status_code} {answer.text[:300]}")
