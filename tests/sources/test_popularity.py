import http.server
import json
import threading
from dataclasses import replace
from uuid import uuid4

import pytest
import structlog

from nixeryd.images.closures import PathInfo
from nixeryd.images.errors import NixerydError
from nixeryd.nix.closure import query_store
from nixeryd.runtime.offline import Offline
from nixeryd.sources.popularity import (
    Frozen,
    Popularity,
    PopularityError,
    count_references,
    most_popular,
)

HASH = "0" * 32


def path(name):
    return f"/nix/store/{HASH}-{name}"


def test_each_path_that_refers_to_a_name_counts():
    infos = [
        PathInfo(path("glibc-2.40"), 1, ()),
        PathInfo(path("git-2.4"), 1, (path("glibc-2.40"), path("zlib-1"))),
        PathInfo(path("curl-8"), 1, (path("glibc-2.40"),)),
        PathInfo(path("curl-8.drv"), 1, (path("glibc-2.40"),)),
        PathInfo(path("env"), 1, (path("x.drv"),)),
    ]
    counts = count_references(infos)
    assert counts == {"glibc-2.40": 2, "zlib-1": 1}
    assert most_popular({"b": 1, "a": 1, "c": 5}, 2) == [("c", 5), ("a", 1)]


@pytest.fixture
def open_popularity(nix, tmp_path):
    """One with a place; `.taken` are the numbers it gave."""

    def open_it(place="", nix=nix):
        taken = []
        popularity = Popularity(place, tmp_path / "popularity.json", nix, taken.append)
        popularity.taken = taken
        return popularity

    return open_it


async def test_the_store_is_counted_and_what_was_found_is_frozen(
    nix, open_popularity, tmp_path
):
    salt = uuid4()
    (tmp_path / "set.nix").write_text(f"""let
      make = name: text: derivation {{
        inherit name; system = builtins.currentSystem; builder = "/bin/sh";
        args = [ "-c" "echo ${{text}} > $out" ]; salt = "{salt}";
      }};
      lib = make "lib-{salt}" "lib";
    in [ (make "a" lib) (make "b" lib) ]""")
    # No sandbox of Debian's Nix has a /bin/sh.
    build = ["nix-build", str(tmp_path / "set.nix"), "--option", "sandbox", "false"]
    await nix.run([*build, "--no-out-link"])
    popularity = open_popularity()
    popularity.load()
    assert popularity.taken == []
    frozen = await popularity.renew()
    assert frozen.origin == "store"
    assert frozen.counts[f"lib-{salt}"] == 2
    assert popularity.taken == [frozen.counts]
    later = open_popularity()
    later.load()
    assert later.taken == [frozen.counts], "though the store may have others by now"
    assert len(await query_store(nix)) > len(frozen.counts)


@pytest.fixture
def web():
    """A web server with one document, `.document`; `.asked` counts."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked += 1
            self.send_response(200 if server.document else 404)
            self.end_headers()
            self.wfile.write(server.document)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.document, server.asked = b"", 0
    server.url = f"http://127.0.0.1:{server.server_port}/popularity.json"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def online(nix):
    return replace(nix, offline=Offline(has_network=lambda: True))


async def test_a_url_is_fetched_once(open_popularity, web, online):
    web.document = b'{"glibc": 300000, "zlib": 7}'
    for _ in range(2):
        popularity = open_popularity(web.url, online)
        popularity.load()
        await popularity.fetch_if_missing()
        assert popularity.taken == [{"glibc": 300000, "zlib": 7}]
    assert web.asked == 1
    web.document = b'{"glibc": 1}'
    await popularity.renew()
    assert popularity.taken[1:] == [{"glibc": 1}], "asked for, it is fetched again"


async def test_another_url_is_fetched_anew(open_popularity, web, online):
    await_store = open_popularity()
    await await_store.renew()
    web.document = b'{"glibc": 2}'
    popularity = open_popularity(web.url, online)
    popularity.load()
    assert popularity.taken == []
    await popularity.fetch_if_missing()
    assert popularity.taken == [{"glibc": 2}]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "404"),
        (b"{", "no JSON object of names and numbers"),
        (b'["a"]', "no JSON object of names and numbers"),
        (b'{"a": "x"}', "no JSON object of names and numbers"),
    ],
)
async def test_a_bad_answer_is_told_and_changes_nothing(
    open_popularity, web, online, document, message
):
    web.document = document
    popularity = open_popularity(web.url, online)
    popularity.load()
    with structlog.testing.capture_logs() as told:
        await popularity.fetch_if_missing()
    assert message in told[0]["error"]
    with pytest.raises(NixerydError, match=message):
        await popularity.renew()
    assert popularity.taken == []


async def test_offline_nothing_is_fetched(open_popularity, web, nix):
    popularity = open_popularity(web.url, replace(nix, offline=Offline(told=True)))
    with pytest.raises(PopularityError, match="offline"):
        await popularity.renew()
    assert web.asked == 0


@pytest.mark.parametrize("url", ["ftp://localhost/x", "http://", "http:///x"])
async def test_what_is_no_url_is_told(open_popularity, online, url):
    with pytest.raises(PopularityError, match=r"nix\.popularity: .*no "):
        await open_popularity(url, online).renew()


async def test_a_file_is_read_at_each_start(open_popularity, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"git": 3}))
    popularity = open_popularity(str(file))
    popularity.load()
    file.write_text(json.dumps({"git": 4}))
    assert await popularity.renew() == Frozen(str(file), {"git": 4})
    assert popularity.taken == [{"git": 3}, {"git": 4}]
    assert not (tmp_path / "popularity.json").exists()


def test_a_file_that_is_not_there_is_named(open_popularity, tmp_path):
    with pytest.raises(PopularityError, match=r"gone\.json cannot be read: No such"):
        open_popularity(f"{tmp_path}/gone.json").load()


def test_a_broken_frozen_file_is_named_with_the_way_out(open_popularity, tmp_path):
    (tmp_path / "popularity.json").write_text("{")
    with pytest.raises(PopularityError, match=r"popularity\.json.*remove it"):
        open_popularity().load()
