"""Evaluations that do not end, or eat: an error of that image, and no process left."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from nixeryd.nix.evaluate import EvaluationFailed, evaluate
from nixeryd.nix.limits import Limits

LOOPS = """
let again = step: builtins.foldl' (a: b: builtins.seq (step 0) b) 0 numbers;
    numbers = builtins.genList (x: x) 10000;
    deep = n: if n == 0 then (x: x) else (x: again (deep (n - 1)));
in { system, ... }: { endless = deep 9 0; fine = derivation {
  name = "fine"; inherit system; builder = "/bin/sh"; }; }
"""
EATS = """
{ system, ... }: {
  greedy = builtins.deepSeq (builtins.genList (x: { inherit x; }) 100000000) { };
  fine = derivation { name = "fine"; inherit system; builder = "/bin/sh"; };
}
"""


def children() -> set[str]:
    found = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {pid for file in found for pid in file.read_text().split()}


async def test_an_evaluation_that_does_not_end_is_ended(nix, tmp_path, system):
    (tmp_path / "default.nix").write_text(LOOPS)
    before = children()
    limited = replace(nix, limits=Limits(seconds=2))
    with pytest.raises(EvaluationFailed, match=r"2 s .* nix\.evaluation_timeout"):
        await evaluate(limited, tmp_path, ["endless"], system)
    assert children() <= before
    patient = replace(nix, limits=Limits(seconds=120))
    assert await evaluate(patient, tmp_path, ["fine"], system)


async def test_an_evaluation_that_eats_memory_is_ended(nix, tmp_path, system):
    (tmp_path / "default.nix").write_text(EATS)
    limited = replace(nix, limits=Limits(memory=2 << 30))
    with pytest.raises(EvaluationFailed, match="memory"):
        await evaluate(limited, tmp_path, ["greedy"], system)
    assert await evaluate(limited, tmp_path, ["fine"], system)
