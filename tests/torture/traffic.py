"""Traffic: clients that pull, fetch, ask nonsense and change the settings at once.

Until the daemon is killed under them; what breaks off then is nobody's fault.
"""

import hashlib
import json
import random
import signal
from contextlib import suppress
from typing import Self

import httpx
import trio

from tests.e2e.registry import MANIFEST_TYPE
from tests.e2e.serving import Daemon
from tests.torture.ledger import Ledger
from tests.torture.world import CAPS, IMAGES, World

_PACKAGES = 500
_NONSENSE = (
    "/v2/../../etc/passwd",
    "/v2/%2e%2e/%2e%2e/manifests/latest",
    "/v2/a%00b/manifests/latest",
    "/v2/n1/manifests/" + "x" * 5000,
    "/v2/n1/blobs/sha256:../../index.sqlite",
    "/v2/n1/blobs/sha256:" + "0" * 64,
    "/v2/N1/manifests/latest",
    "/v2/throws/manifests/latest",
    "/v2/no-such-thing/manifests/latest",
    "/v2/n1/manifests/no-such-ref",
    "/v2/" + "a/" * 400 + "manifests/latest",
    "/v2/quay.io/no/such/manifests/latest",
)


class Wrong(Exception):  # noqa: N818  it is what the daemon did
    """The daemon answered what it must not."""


class Broken(Exception):  # noqa: N818  as a client says it
    """An answer was not whole."""


class Clients:
    """Clients of one daemon."""

    def __init__(self, daemon: Daemon, ledger: Ledger) -> None:
        self._url = f"http://127.0.0.1:{daemon.port}"
        self._ledger = ledger
        self._http = httpx.AsyncClient(trust_env=False, timeout=60)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *args: object) -> None:
        await self._http.aclose()

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask, and see that no answer tells of a defect."""
        self._ledger.requests += 1
        answer = await self._http.get(self._url + path, headers=headers)
        if answer.status_code >= 500 or b"Traceback" in answer.content:
            raise Wrong(f"{path[:200]}: {answer.status_code} {answer.text[:300]}")
        return answer

    async def pull(self, name: str) -> None:
        """Pull all of an image, and see that it is what it says."""
        path = f"/v2/{name}/manifests/latest"
        answer = await self.get(path, accept=MANIFEST_TYPE)
        while answer.status_code == 307:
            answer = await self.get(answer.headers["location"], accept=MANIFEST_TYPE)
        if answer.status_code != 200:
            raise Broken(f"{path}: {answer.status_code} {answer.text[:300]}")
        digest = answer.headers["docker-content-digest"]
        _check(path, answer.content, digest)
        manifest = json.loads(answer.content)
        for blob in (manifest["config"], *manifest["layers"]):
            path = f"/v2/{name}/blobs/{blob['digest']}"
            answer = await self.get(path)
            if answer.status_code != 200:
                raise Broken(f"{path}: {answer.status_code} {answer.text[:300]}")
            _check(path, answer.content, blob["digest"])
        self._ledger.note(name, digest)


def _check(path: str, body: bytes, digest: str) -> None:
    found = hashlib.sha256(body).hexdigest()
    if digest != f"sha256:{found}":
        raise Wrong(f"{path}: {len(body)} bytes with the digest {found}")


async def make_traffic(
    daemon: Daemon, world: World, ledger: Ledger, rng: random.Random
) -> None:
    """Do all at once until cancelled."""

    async def client(rng: random.Random) -> None:
        while True:
            with suppress(httpx.HTTPError, Broken):
                await _do_something(clients, ledger, rng)

    async def owner(rng: random.Random) -> None:
        while True:
            await trio.sleep(rng.uniform(0.05, 0.5))
            if rng.random() < 0.7:
                world.configure(rng.choice(CAPS))
                daemon.process.send(signal.SIGHUP)
            else:
                world.edit(rng.randrange(1000))

    async with Clients(daemon, ledger) as clients, trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(client, random.Random(rng.random()))
        nursery.start_soon(owner, random.Random(rng.random()))


async def _do_something(clients: Clients, ledger: Ledger, rng: random.Random) -> None:
    what = rng.random()
    if what < 0.4:
        await clients.pull(f"quay.io/owner/app{rng.randrange(IMAGES)}")
    elif what < 0.6:
        names = rng.sample(range(_PACKAGES), rng.randrange(1, 4))
        await clients.pull("/".join(f"n{number}" for number in sorted(names)))
    elif what < 0.8 and ledger.pulled:
        await clients.pull(rng.choice(sorted(ledger.pulled)))
    else:
        ledger.bad_inputs += 1
        answer = await clients.get(rng.choice(_NONSENSE))
        if answer.is_success:
            raise Wrong(f"nonsense was answered: {answer.url} {answer.status_code}")
