"""What evaluation says is heard while it goes on: traces, warnings, builds it needs."""

import pytest

from nixeryd.builder import progress as events
from nixeryd.images.errors import RegistryError
from tests.builder.conftest import open_builder


async def pulled(builder, name):
    async with builder.pull((name,), "latest") as channel:
        return [event async for event in channel]


async def test_traces_and_builds_of_an_evaluation_are_told_and_logged(
    nix, write_set, tmp_path
):
    source = write_set(
        'talks = builtins.trace "a trace" (builtins.trace'
        ' "evaluation warning: old" (make "talks" "echo ${'
        "builtins.readFile (derivation {"
        ' name = "imported"; inherit system; builder = "/bin/sh";'
        ' args = [ "-c" "echo from a builder; echo x > $out; :" ];'
        f' salt = "{tmp_path}"; }})'
        '} > $out"));'
    )
    async with open_builder(nix, source, tmp_path / "data") as builder:
        told = await pulled(builder, "talks")
    assert isinstance(told[-1], events.Done)
    lines = [event.line for event in told if isinstance(event, events.LogLine)]
    assert {"trace: a trace", "trace: evaluation warning: old"} <= set(lines)
    assert "imported> from a builder" in lines
    begun = [e.drv[44:] for e in told if isinstance(e, events.Building)]
    evaluating = told[: told.index(events.Phase(phase="realise"))]
    assert [e for e in evaluating if isinstance(e, events.Building)]
    assert "imported.drv" in begun
    (log,) = (tmp_path / "data" / "logs").glob("*.log")
    assert "trace: a trace" in log.read_text()
    assert "imported> from a builder" in log.read_text()


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ('throw "this one is thrown"', "this one is thrown"),
        ("1 + (x: x)", "cannot add"),
        ('builtins.readFile (make "bad" "echo why; exit 3")', "exit code 3"),
    ],
)
async def test_errors_are_told_as_before(nix, write_set, tmp_path, package, said):
    source = write_set(f"bad = {package};")
    async with open_builder(nix, source, tmp_path / "data") as builder:
        with pytest.raises(RegistryError) as caught:
            await builder.manifest(("bad",), "latest")
    assert "bad does not evaluate: " in caught.value.message
    assert said in caught.value.message
    assert "@nix" not in caught.value.message
    assert "\x1b" not in caught.value.message
