import json

import pytest

from nixeryd.images.closures import PathInfo
from nixeryd.images.errors import NixerydError
from nixeryd.nix.closure import parse_path_info, query_closure, query_store
from nixeryd.nix.evaluate import evaluate
from nixeryd.nix.installation import parse_version
from nixeryd.nix.process import Nix
from nixeryd.nix.realise import realise

STORE = "/nix/store/"
A = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-app-1.0"
B = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lib-2.0"
EXPECTED = {
    STORE + A: PathInfo(STORE + A, 1234, (STORE + B,), "sha256-…"),
    STORE + B: PathInfo(STORE + B, 567, (), "sha256-…"),
}


def entry(size, *references, **more):
    return {"narHash": "sha256-…", "narSize": size, "references": references, **more}


LIST = [
    {"path": STORE + A, **entry(1234, STORE + B, STORE + A), "deriver": "x.drv"},
    {"path": STORE + B, "valid": True, **entry(567)},
]
MAP = {
    STORE + A: entry(1234, STORE + B, STORE + A, ca=None, signatures=[]),
    STORE + B: entry(567),
}
VERSIONED = {"storeDir": "/nix/store", "info": {A: entry(1234, A, B), B: entry(567)}}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(LIST, id="list: Nix to 2.18, Lix"),
        pytest.param(MAP, id="map: Nix 2.19 and later, --json-format 1"),
        pytest.param({"version": 2, **VERSIONED}, id="version 2: Nix 2.33"),
        pytest.param({"version": 3, **VERSIONED}, id="version 3: Nix 2.35"),
    ],
)
def test_every_shape_is_read(document):
    assert parse_path_info(json.dumps(document)) == EXPECTED


def test_references_are_sorted():
    names = [f"{STORE}{letter * 32}-x" for letter in "cab"]
    parsed = parse_path_info(json.dumps({STORE + A: entry(1, *names)}))
    assert parsed[STORE + A].references == tuple(sorted(names))


@pytest.mark.parametrize(
    "document",
    [
        pytest.param([{"path": STORE + A, "valid": False}], id="list"),
        pytest.param({STORE + A: None}, id="map"),
        pytest.param(
            {"version": 2, "storeDir": "/nix/store", "info": {A: None}}, id="version 2"
        ),
    ],
)
def test_a_path_that_is_not_there_is_named(document):
    with pytest.raises(NixerydError, match=f"{STORE}{A} is not in the Nix store"):
        parse_path_info(json.dumps(document))


@pytest.mark.parametrize("text", ["", "3", '"x"', "[3]", '{"a": 3}', "[{}]"])
def test_another_shape_is_an_error(text):
    with pytest.raises(NixerydError, match="unknown shape"):
        parse_path_info(text)


async def test_the_closure_of_a_built_package_is_read(nix, sets, system, tmp_path):
    evaluation = await evaluate(nix, sets, ["user", "simple"], system)
    user, simple = evaluation.packages
    await realise(nix, [user.installable], roots=tmp_path)
    closure = await query_closure(nix, user.outputs)
    assert set(closure) > {*user.outputs, *simple.outputs}
    assert simple.outputs[0] in closure[user.outputs[0]].references
    # A reference to itself is left out.
    program = next(path for path in closure if path.endswith("-program-2.0"))
    assert closure[program].references == ()
    assert all(info.nar_size > 0 for info in closure.values())
    assert len({info.nar_hash for info in closure.values()}) == len(closure)


@pytest.mark.parametrize(
    ("said", "flagged"),
    [
        ("nix (Nix) 2.32.4", False),
        ("nix (Nix) 2.33", True),
        ("nix (Lix, like Nix) 2.93.3", False),
        ("nix (Determinate Nix 3.8.0) 2.30.1", False),
        ("nix (Determinate Nix 3.15.1) 2.33.0", True),
    ],
)
async def test_the_json_that_is_meant_is_named_where_it_can_be(said, flagged, tmp_path):
    fork, version = parse_version(said)
    program = tmp_path / "nix"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said; echo []')
    program.chmod(0o755)
    assert await query_store(Nix(tmp_path, version, fork)) == []
    assert ("--json-format" in (tmp_path / "said").read_text()) is flagged


async def test_the_closure_of_nothing_is_empty(nix):
    assert await query_closure(nix, []) == {}


async def test_a_path_that_was_never_built_is_an_error(nix):
    with pytest.raises(NixerydError, match=r"is not valid|is not in the Nix store"):
        await query_closure(nix, [STORE + A.replace("a" * 32, "0" * 32)])
