# ruff: noqa: ASYNC240  a look at a small file blocks nobody in a test
"""Through a Nix daemon: as a user it trusts, and as one it does not, the normal case.

With a binary cache of our own as the daemon's substituter.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from nixeryd.layers.thin import list_archive
from nixeryd.nix.caches import CacheFailed
from nixeryd.nix.closure import query_closure
from nixeryd.nix.closurelist import list_closure
from nixeryd.nix.evaluate import EvaluationFailed, evaluate
from nixeryd.nix.limits import Limits
from nixeryd.nix.packageset import PackageSet
from nixeryd.nix.plan import Planned
from nixeryd.nix.progress import Message
from nixeryd.nix.reads import Reads
from nixeryd.nix.realise import BuildFailed, realise, realised
from tests.nix import binarycache
from tests.nix.daemon import TRUSTED, UNTRUSTED, nix_daemon, nix_of_user, place_of_all

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("nix-daemon"),
    reason="needs root and nix-daemon",
)

SET = r"""
{ system }: let
  make = name: script: more: derivation ({
    inherit name system; salt = "SALT"; builder = "/bin/sh";
    args = [ "-euc" "${script}\n:" ]; } // more);
in rec {
  simple = make "simple" "echo hello > $out" { };
  user = make "user" "echo ${simple} > $out" { };
  broken = make "broken" "echo line; echo the end is near; exit 3" { };
  needsbroken = make "needsbroken" "echo ${broken} > $out" { };
  wronghash = make "wronghash" "echo x > $out" { outputHashMode = "flat";
    outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "y"; };
  asserting = assert 1 == 2; simple;
  ca = make "ca" "echo ca > $out" { __contentAddressed = true;
    outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  imported = make "imported" "echo ${builtins.readFile simple} > $out" { };
}
"""


@pytest.fixture(scope="module")
def place():
    with place_of_all() as place:
        yield place


@pytest.fixture(scope="module")
def cache():
    with binarycache.binary_cache() as cache:
        yield cache


@pytest.fixture(scope="module")
def daemon(place, cache):
    settings = {
        "substitute": "true",
        "substituters": cache.url,
        "require-sigs": "false",
        "build-users-group": "",
        "sandbox": "false",
        "download-attempts": "2",
        "narinfo-cache-negative-ttl": "0",
    }
    with nix_daemon(place, settings) as socket:
        yield socket


@pytest.fixture(params=[TRUSTED, UNTRUSTED], ids=["trusted", "untrusted"])
def user_nix(request, nix, daemon, place):
    return nix_of_user(nix, request.param, daemon, place)


@pytest.fixture
def source(place):
    file = place / f"{uuid4()}.nix"
    file.write_text(SET.replace("SALT", str(uuid4())))
    return file


@pytest.fixture
def roots(place):
    directory = place / f"roots-{uuid4()}"
    directory.mkdir()
    directory.chmod(0o777)
    return directory


async def make(nix, source, system, roots, *names):
    """Evaluate and realise; gives the packages, and what Nix said."""
    events = []
    packages = (await evaluate(nix, source, names, system)).packages
    wanted = [package.installable for package in packages]
    await realise(nix, wanted, roots=roots, on_event=events.append)
    return realised(packages, roots), events


async def test_packages_are_evaluated_built_and_listed(user_nix, source, system, roots):
    packages, events = await make(user_nix, source, system, roots, "user", "ca")
    outputs = [path for package in packages for path in package.outputs]
    assert all(map(os.path.exists, outputs)), "a content-addressed one, too"
    closure = await query_closure(user_nix, outputs)
    assert {path[44:] for path in closure} >= {"user", "simple", "ca"}
    listed = await list_closure(user_nix, outputs, list_archive(closure), roots)
    assert listed in (await query_closure(user_nix, [listed]))
    refused = [e for e in events if isinstance(e, Message) and "setting" in e.text]
    assert not refused, "what we set, and it does not take, is nobody's business"


@pytest.mark.parametrize(
    ("name", "blamed", "reason"),
    [
        ("broken", "broken", "exit code 3"),
        ("needsbroken", "broken", "exit code 3"),
        ("wronghash", "wronghash", "hash mismatch"),
    ],
)
async def test_why_a_build_failed_is_heard(  # noqa: PLR0917  fixtures
    user_nix, source, system, roots, name, blamed, reason
):
    with pytest.raises(BuildFailed, match=f"^building {blamed} failed: ") as caught:
        await make(user_nix, source, system, roots, name)
    assert reason in caught.value.reason
    assert "setting" not in caught.value.message
    assert caught.value.message.count("the end is near") == (blamed == "broken")


async def test_why_an_evaluation_failed_is_heard(user_nix, source, system):
    with pytest.raises(EvaluationFailed, match=r"(?s)asserting .*1 == 2") as caught:
        await evaluate(user_nix, source, ["asserting"], system)
    assert f"at {source}:13:15" in caught.value.message


async def test_what_evaluation_has_to_build_is_built(user_nix, source, system, roots):
    (package,), _ = await make(user_nix, source, system, roots, "imported")
    assert Path(package.outputs[0]).exists()


async def offer(nix, cache, place, system, number):
    source = place / f"{uuid4()}.nix"
    source.write_text(binarycache.chain(number, str(uuid4())))
    given = nix, cache, source, number, system, 500
    return await binarycache.chain_of_packages(*given)


async def test_what_a_cache_has_is_fetched(user_nix, cache, place, system, roots):
    top = await offer(user_nix, cache, place, system, 3)
    events = []
    await realise(user_nix, [top], roots=roots, on_event=events.append)
    (planned,) = [event for event in events if isinstance(event, Planned)]
    assert (planned.builds, planned.downloads) == (0, 3)


async def test_a_cache_that_stops_is_not_waited_for(
    user_nix, cache, place, system, roots
):
    """The daemon has its own patience: 300 s, five times, whatever a user sets."""
    top = await offer(user_nix, cache, place, system, 3)
    impatient = replace(user_nix, limits=Limits(cache_seconds=1))
    cache.faults = lambda path: binarycache.STALL if "-p1.nar" in path else None
    try:
        with pytest.raises(CacheFailed, match=cache.url):
            await realise(impatient, [top], roots=roots)
    finally:
        cache.faults = lambda _: None
    await realise(user_nix, [top], roots=roots)


async def test_names_are_listed(user_nix, source, system):
    arguments = {"system": system, "names": "[]", "nested": "[]"}
    names = await PackageSet(source).ask(user_nix, "search.nix", arguments, Reads())
    assert "needsbroken" in names


async def test_a_flake_is_evaluated(user_nix, place, system):
    flake = place / f"flake-{uuid4()}"
    flake.mkdir()
    (flake / "flake.nix").write_text(
        "{ outputs = _: { packages.SYSTEM.one = derivation {"
        ' name = "one"; system = "SYSTEM"; builder = "/bin/sh"; }; }; }'.replace(
            "SYSTEM", system
        )
    )
    package_set = PackageSet(flake=f"path:{flake}")
    (package,) = (await evaluate(user_nix, package_set, ["one"], system)).packages
    assert package.name == "one"
