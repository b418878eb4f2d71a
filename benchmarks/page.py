"""Measure the page: first paint with 500 images, and memory while events flow.

    python -m benchmarks.page [--images 500] [--minutes 1]

Fills an index with images that share layers, opens the pages in Chromium, each time
in a fresh profile, and prints first contentful paint by the page's own clock: the
first one after the daemon's start apart, since the framework is imported then. Then
a build prints a thousand lines a second, with two pages open that show it, and the
daemon's resident memory and the page's heap are printed every ten seconds.
"""

import argparse
import json
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path
from threading import Thread
from uuid import uuid4

from playwright.sync_api import Browser, Page, sync_playwright

from nixeryd.images.digests import Digest
from nixeryd.images.manifests import (
    MANIFEST_TYPE,
    LayerDescriptor,
    layer_media_type,
    render_config,
    render_manifest,
)
from nixeryd.images.names import NamePolicy, parse_image
from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.index import StoredManifest, open_index
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.e2e.serving import NO_SANDBOX, data_dir, start

LAYERS = 20  # of an image; half of them in others, too
PAINT = """() => new Promise((done) => {
  const seen = performance.getEntriesByName("first-contentful-paint")[0];
  if (seen) return done(seen.startTime);
  new PerformanceObserver((list) => {
    const found = list.getEntriesByName("first-contentful-paint")[0];
    if (found) done(found.startTime);
  }).observe({ type: "paint", buffered: true });
})"""
FLOOD = """
{{ system }}: let make = name: script: derivation {{
  inherit name system; salt = "{salt}"; builder = "/bin/sh";
  args = [ "-euc" "export PATH=/usr/bin:/bin; ${{script}}" ];
}}; in {{
  cacert = make "cacert" "mkdir $out";
  iana-etc = make "iana-etc" "mkdir $out";
  flood = make "flood" ''
    i=0
    while [ $i -lt {seconds} ]; do
      seq 1 1000 | sed "s/^/$i: checking whether the compiler works, step /"
      i=$((i + 1)); sleep 0.9
    done
    mkdir $out
  '';
}}
"""


def fill(place: Path, count: int) -> None:
    """Put images into a data directory, as if they had been built."""
    policy = NamePolicy("x86_64-linux")
    with open_data_dir(data_dir(place)) as places, open_index(places.index) as index:
        blobs = Blobs(places.blobs, places.staging)
        for number in range(count):
            layers = [
                f"layer {one if one % 2 else f'{number} {one}'}"
                for one in range(LAYERS)
            ]
            digests = [blobs.put(layer.encode() * 99) for layer in layers]
            config = render_config(
                architecture="amd64",
                env={},
                cmd=None,
                labels={},
                diff_ids=digests,
                history=layers,
            )
            kind = layer_media_type("none")
            descriptors = [LayerDescriptor(d, d, 1, kind) for d in digests]
            manifest = render_manifest(config, descriptors)
            digest = blobs.put(manifest)
            blobs.put(config)
            name = f"package-{number}/git"
            index.add_build(
                name,
                StoredManifest(
                    digest, MANIFEST_TYPE, (Digest.of(config), *digests), len(config)
                ),
            )
            key = parse_image(tuple(name.split("/")), policy).key
            index.set_tag(key, "latest", name, digest, time.time() - number * 3600)


def paint(browser: Browser, url: str) -> float:
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)
    painted: float = page.evaluate(PAINT)
    context.close()
    return painted


def resident(pid: int) -> float:
    """Resident memory in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
    raise AssertionError


def heap(page: Page) -> float:
    return float(page.evaluate("performance.memory.usedJSHeapSize")) / 1e6


def measure_paint(browser: Browser, place: Path, images: int) -> None:
    fill(place, images)
    process = start(place)
    try:
        port = process.wait_for_line(r"docker run .*localhost:(\d+)/")[1]
        first = paint(browser, f"http://localhost:{port}/")
        print(
            f"first paint of / right after the start, {images} images: {first:.0f} ms"
        )
        for path in ("/", "/images", "/images/package-7/git:latest", "/cache"):
            times = [paint(browser, f"http://localhost:{port}{path}") for _ in range(7)]
            median = statistics.median(times)
            print(
                f"first paint of {path}: median {median:.0f} ms, most {max(times):.0f}"
            )
    finally:
        process.end()


def measure_memory(browser: Browser, place: Path, minutes: float) -> None:
    source = place / "flood.nix"
    seconds = int(minutes * 60)
    source.write_text(FLOOD.format(salt=uuid4().hex, seconds=seconds))
    config = NO_SANDBOX + "build-users-group =\n"
    process = start(place, f"--nixpkgs={source}", environ={"NIX_CONFIG": config})
    try:
        port = process.wait_for_line(r"docker run .*localhost:(\d+)/")[1]
        url = f"http://localhost:{port}"

        def get(path: str) -> bytes:
            with urllib.request.urlopen(url + path) as answer:
                body: bytes = answer.read()
            return body

        client = Thread(target=get, args=("/v2/flood/manifests/latest",))
        client.start()
        now = browser.new_page()
        now.goto(url)
        now.locator(".card.running .log-in-card summary").click()
        one = browser.new_page()
        one.goto(url)
        one.locator(".card.running h3 a").click()
        while client.is_alive():
            builds = json.loads(get("/api/v1/builds"))
            lines = builds[0]["lines"] if builds else 0
            print(
                f"{lines:>9,} lines: daemon {resident(process.pid):6.1f} MB resident,"
                f" pages {heap(now):5.1f} and {heap(one):5.1f} MB of heap",
                flush=True,
            )
            client.join(10)
        rows = one.locator(".lines > div").count()
        print(f"at the end: {resident(process.pid):.1f} MB; {rows} lines in the page")
    finally:
        process.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=1)
    asked = parser.parse_args()
    with (
        sync_playwright() as driver,
        tempfile.TemporaryDirectory() as first,
        tempfile.TemporaryDirectory() as second,
    ):
        flags = [*FLAGS, "--enable-precise-memory-info"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        measure_paint(browser, Path(first), asked.images)
        measure_memory(browser, Path(second), asked.minutes)
        browser.close()


if __name__ == "__main__":
    main()
