import platform
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import trio

from nixeryd.builder.build import ImageBuilder
from nixeryd.builder.build_monitor import BuildMonitor
from nixeryd.builder.builder import Builder
from nixeryd.builder.history import History
from nixeryd.git.storage import Storage
from nixeryd.git.trees import Trees
from nixeryd.images.names import NamePolicy
from nixeryd.nix.roots import Roots
from nixeryd.runtime.changes import Changes
from nixeryd.sources.directory import Directory
from nixeryd.sources.fingerprint import open_checkout
from nixeryd.sources.sources import Sources
from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.index import open_index


@asynccontextmanager
async def open_builder(
    nix,
    source,
    data_dir,
    compression="none",
    *,
    watch=False,
    keep=True,
    stream=False,
    watched=(),
):
    """A whole builder with its own data directory.

    `source` is a path or a configured source called `here`. `watch` watches it,
    `keep` keeps the roots of what was built, `stream` keeps layers as recipes, and it
    is told that it depends on the paths in `watched`.
    """
    with open_data_dir(data_dir) as places, open_index(places.index) as index:
        blobs = Blobs(places.blobs, places.staging, index.blob_size)
        roots = Roots(places.gcroots, keep=keep)
        image_builder = ImageBuilder(
            nix,
            blobs,
            index,
            roots,
            compression=compression,
            stream=stream,
            timeout=0,
            popularity={},
            watched={"here": tuple(map(str, watched))},
        )
        async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
            checkout = None
            if watch:
                checkout = await stack.enter_async_context(
                    open_checkout(source, nursery)
                )
                await checkout.wait_opened()
            trees = Trees(data_dir / "trees")
            if isinstance(source, Path):
                source = Directory("here", source, trees, checkout)
            builder = Builder(
                image_builder,
                Sources({"here": source}, "here", Storage(trees, data_dir / "git")),
                NamePolicy(
                    f"{platform.machine()}-linux",
                    always=(),
                    shell_packages=("bashInteractive",),
                ),
                blobs=blobs,
                index=index,
                logs=places.logs,
                roots=roots,
                nursery=nursery,
                board=BuildMonitor(Changes()),
                history=History(places.failures),
            )
            yield builder
            nursery.cancel_scope.cancel()


@pytest.fixture
async def demo_builder(nix, demo_source, tmp_path):
    async with open_builder(nix, demo_source, tmp_path / "data") as builder:
        yield builder


@pytest.fixture
def write_set(tmp_path):
    """Write a package set that no store has seen; gives its path.

    `make NAME SCRIPT` is a package that is not built yet; `ran` names a file to
    which a script can add, to be counted.
    """

    def write(packages: str, salt: str | None = None):
        file = tmp_path / "set.nix"
        file.write_text(
            "{ system }: let make = name: script: derivation {"
            f' inherit name system; salt = "{salt or uuid4()}"; builder = "/bin/sh";'
            ' args = [ "-euc" "${script}" ]; };'
            f' ran = "{tmp_path}/ran";'
            f" in {{ {packages} }}"
        )
        return file

    return write
