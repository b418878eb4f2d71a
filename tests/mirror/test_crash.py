"""A power cut in the middle of a download, and what is served after it."""

from contextlib import suppress

import httpx
import trio

from tests.e2e.conftest import need
from tests.e2e.serving import Daemon, serving, start
from tests.mirror.conftest import HANG, LAYER, LAYER_DIGEST
from tests.upstream.faults import Change, Hold
from tests.upstream.fixtures import IMAGE

PATH = f"/v2/{IMAGE.repository}/blobs/{LAYER_DIGEST}"


async def get(daemon: Daemon, path: str) -> bytes:
    async with httpx.AsyncClient(trust_env=False, timeout=HANG) as client:
        answer = await client.get(f"http://127.0.0.1:{daemon.mirror.port}{path}")
    assert answer.status_code == 200
    return answer.content


async def test_after_a_power_cut_only_whole_blobs_are_served(tmp_path, faults):
    need("nix-instantiate")
    config = tmp_path / "config.toml"
    config.write_text(f'[upstreams."docker.io"]\nurl = "{faults.url}"\n')
    config_path = PATH.replace(str(LAYER_DIGEST), IMAGE.config_digest)
    hold = Hold()
    faults.on(f"GET .*{LAYER_DIGEST}", Change(hold=hold, hold_after=200_000), times=1)

    async def ask(daemon: Daemon) -> None:
        with suppress(httpx.HTTPError):  # cut off, with the daemon
            await get(daemon, PATH)

    # What starts and ends a daemon blocks, but meanwhile it asks nothing of us.
    process = start(tmp_path, f"--config={config}")
    try:
        ready = process.wait_for_line(r"docker run .*localhost:(\d+)/")
        daemon = Daemon(int(ready[1]), tmp_path, process)
        assert faults.connections == 0
        assert await get(daemon, config_path) == IMAGE.config
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, daemon)
            await hold.reached.wait()
            await _wait_for_bytes(daemon, 200_000)
            process.kill()
    finally:
        process.kill()
    hold.release()
    (left,) = (daemon.data / "staging").iterdir()
    assert left.stat().st_size == 200_000
    with serving(tmp_path, f"--config={config}") as daemon:
        assert list((daemon.data / "staging").iterdir()) == []
        blobs = (daemon.data / "blobs").rglob("*")
        assert [str(blob.name) for blob in blobs if blob.is_file()] == [
            IMAGE.config_digest.removeprefix("sha256:")
        ]
        assert await get(daemon, PATH) == LAYER
        assert await get(daemon, config_path) == IMAGE.config
    assert faults.count(IMAGE.config_digest) == 1
    assert "range" not in faults.asked(f"GET .*{LAYER_DIGEST}")[-1].headers


async def _wait_for_bytes(daemon: Daemon, count: int) -> None:
    """Wait until that many have been staged; nothing else tells."""
    with trio.fail_after(HANG):
        while True:
            staged = (daemon.data / "staging").iterdir()
            if sum(file.stat().st_size for file in staged) >= count:
                return
            await trio.sleep(0.01)
