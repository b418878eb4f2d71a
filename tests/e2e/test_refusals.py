"""Bad requests over real HTTP: a clear answer each, and no build for strangers."""

import socket
from pathlib import Path

import pytest

from tests.e2e.registry import Answer, Registry
from tests.e2e.serving import ODD, PACKAGES, Daemon, note_nix_calls, odd_source, serving

ZEROS = "sha256:" + "0" * 64

BAD_REQUESTS = [
    # what, path, status, code, words of the message
    ("unknown package", "no-such/manifests/latest", 404, "MANIFEST_UNKNOWN", "no-such"),
    ("unknown tag", "curious/manifests/no-such", 404, "MANIFEST_UNKNOWN", "no-such"),
    ("a set", "not-a-package/manifests/latest", 404, "MANIFEST_UNKNOWN", "set of"),
    ("repeated", "curious/curious/manifests/latest", 404, "MANIFEST_UNKNOWN", "twice"),
    ("no package", "arm64/manifests/latest", 400, "NAME_INVALID", "arm64"),
    ("upper case", "Curious/manifests/latest", 400, "NAME_INVALID", ""),
    ("dots only", "../curious/manifests/latest", 400, "NAME_INVALID", ""),
    ("escaped", "curious%2fhello/manifests/latest", 400, "NAME_INVALID", ""),
    ("tag grammar", "curious/manifests/-no", 400, "NAME_INVALID", ""),
    ("short digest", "curious/manifests/sha256:12", 400, "DIGEST_INVALID", ""),
    ("blob's digest", "curious/blobs/sha256:XY", 400, "DIGEST_INVALID", ""),
    ("new digest", f"curious/manifests/{ZEROS}", 404, "MANIFEST_UNKNOWN", ZEROS),
    ("new blob", f"curious/blobs/{ZEROS}", 404, "BLOB_UNKNOWN", ZEROS),
    ("tags of nothing", "never-built/tags/list", 404, "NAME_UNKNOWN", "never-built"),
    ("broken build", "breaks/manifests/latest", 403, "DENIED", "the last line before"),
    ("bad evaluation", "throws/manifests/latest", 403, "DENIED", "paying customers"),
]


@pytest.mark.parametrize(
    ("path", "status", "code", "words"),
    [row[1:] for row in BAD_REQUESTS],
    ids=[row[0] for row in BAD_REQUESTS],
)
def test_a_bad_request_gets_a_clear_answer(
    odd_daemon: Daemon, path: str, status: int, code: str, words: str
):
    for method in ("GET", "HEAD", "GET"):  # the order that docker asks in, and again
        answer = odd_daemon.ask(f"/v2/{path}", method)
        assert answer.status == status
        assert answer.headers["content-type"] == "application/json"
        if method == "GET":
            assert answer.code == code
            assert words in answer.message
            assert answer.headers["content-length"] == str(len(answer.body))


def test_an_unknown_package_is_named_with_its_source(odd_daemon: Daemon):
    message = odd_daemon.manifest("no-such").message
    assert str(PACKAGES) in message or "odd" in message


def test_all_bad_packages_are_named_at_once(odd_daemon: Daemon):
    message = odd_daemon.manifest("no-such/curious/throws/neither").message
    for name in ("no-such", "throws", "neither"):
        assert name in message
    # The set's names are listed, and curious is not among the bad ones.
    assert "no package curious" not in message
    assert "curious does not evaluate" not in message


def test_a_broken_build_tells_where_its_log_is(odd_daemon: Daemon):
    message = odd_daemon.manifest("breaks").message
    assert "configuring with love" in message
    assert "log" in message


def test_nothing_can_be_pushed(odd_daemon: Daemon):
    for method in ("PUT", "POST", "PATCH", "DELETE"):
        answer = odd_daemon.manifest("curious", method)
        assert answer.status == 405
        assert answer.code == "UNSUPPORTED"


def test_tls_on_the_plain_port_is_answered_in_plain_http(odd_daemon: Daemon):
    hello = bytes.fromhex("16030100050100000100")  # a TLS record with a ClientHello
    with socket.create_connection(("127.0.0.1", odd_daemon.port), 60) as client:
        client.sendall(hello + bytes(300))
        client.shutdown(socket.SHUT_WR)
        assert client.recv(5) == b"HTTP/"


STRANGERS = {
    "another host": {"Host": "rebound.example"},
    "another host's port": {"Host": "rebound.example:5000"},
    "another origin": {"Origin": "https://evil.example"},
    "no origin": {"Origin": "null"},
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "another port of this host": {"Sec-Fetch-Site": "same-site"},
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS.keys())
def test_strangers_are_refused(
    odd_daemon: Daemon, headers: dict[str, str], method: str
):
    answer = odd_daemon.ask("/v2/curious/manifests/latest", method, headers)
    assert answer.status == 403
    assert answer.headers["content-type"] == "application/json"


def test_strangers_start_no_build(tmp_path: Path):
    log = note_nix_calls(tmp_path / "noted")
    environ = {**ODD, **log.environ}
    with serving(tmp_path, *odd_source(tmp_path), environ=environ) as daemon:
        before = log.calls
        for headers in STRANGERS.values():
            answer = daemon.ask("/v2/curious/manifests/latest", headers=headers)
            assert answer.status == 403
        assert log.calls == before


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]:5000", "LOCALHOST"])
def test_this_machine_is_no_stranger(odd_daemon: Daemon, host: str):
    answer: Answer = Registry(odd_daemon.port).ask("/v2/", headers={"Host": host})
    assert answer.status == 200
