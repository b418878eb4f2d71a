# ruff: noqa: ASYNC240  a look at a small file blocks nobody in a test
import json
import subprocess
from pathlib import Path

import pytest
import trio

from nixeryd.images.errors import ErrorCode
from nixeryd.nix import realise as nix_realise
from nixeryd.nix.evaluate import evaluate
from nixeryd.nix.listener import Listener
from nixeryd.nix.progress import BuildLog, BuildStarted, BuildStopped
from nixeryd.nix.realise import BuildFailed, DerivationLost, realise
from nixeryd.nix.roots import Roots
from nixeryd.runtime import process


async def installables(nix, source, system, *names):
    packages = (await evaluate(nix, source, names, system)).packages
    return [package.installable for package in packages]


def is_rooted(nix, path):
    said = subprocess.run(
        [nix.directory / "nix-store", "--query", "--roots", path],
        check=True,
        capture_output=True,
        text=True,
        env=dict(nix.environment),
    ).stdout
    return said.strip() != ""


async def test_outputs_are_built_and_rooted(nix, system, salted, tmp_path):
    source = salted('one = make "one" "echo one"; two = make "two" "echo two";')
    packages = (await evaluate(nix, source, ["one", "two"], system)).packages
    events = []
    async with Roots(tmp_path / "roots").of_build() as roots:
        await realise(
            nix,
            [package.installable for package in packages],
            roots=roots,
            on_event=events.append,
        )
        for package in packages:
            (output,) = package.outputs
            assert Path(output).exists()
            assert is_rooted(nix, output)
            assert BuildStarted(package.drv_path) in events
            assert BuildLog(package.drv_path, package.attribute) in events
            assert BuildStopped(package.drv_path) in events
    assert list((tmp_path / "roots").iterdir()) == []
    assert not is_rooted(nix, packages[0].outputs[0])


async def test_what_is_there_already_is_rooted_without_a_build(
    nix, sets, system, tmp_path
):
    wanted = await installables(nix, sets, system, "installsman")
    await realise(nix, wanted, roots=tmp_path / "first")
    events = []
    await realise(nix, wanted, roots=tmp_path / "second", on_event=events.append)
    assert not [event for event in events if isinstance(event, BuildStarted)]
    names = sorted(root.name for root in (tmp_path / "second").iterdir())
    assert names == ["root", "root-man"]


async def test_nothing_to_realise_is_no_error(nix, tmp_path):
    await realise(nix, [], roots=tmp_path)


async def test_a_failed_build_tells_how_its_log_ends(nix, sets, system, tmp_path):
    wanted = await installables(nix, sets, system, "broken")
    with pytest.raises(BuildFailed) as caught:
        await realise(nix, wanted, roots=tmp_path)
    error = caught.value
    assert error.code is ErrorCode.DENIED
    assert error.drv == wanted[0].removesuffix("!out")
    assert error.log_tail == ("line 1", "line 2", "line 3", "the end is near")
    assert error.message.startswith("building broken-1.0 failed: ")
    assert "failed with exit code 3" in error.reason
    assert "> the end is near" in error.message
    assert f"nix-store --read-log {error.drv}" in error.message


async def test_a_failed_dependency_is_the_one_to_blame(nix, sets, system, tmp_path):
    wanted = await installables(nix, sets, system, "needsbroken", "simple")
    with pytest.raises(BuildFailed, match=r"^building broken-1.0 failed") as caught:
        await realise(nix, wanted, roots=tmp_path)
    assert caught.value.log_tail[-1] == "the end is near"


DRV = "/nix/store/00000000000000000000000000000000-app-1.0.drv"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param(
            f"error: builder for '{DRV}' failed with exit code 3;\n"
            "       last 1 log lines:\n       > cc: no\n"
            f"       For full logs, run 'nix log {DRV}'.",
            f"builder for '{DRV}' failed with exit code 3",
            id="a daemon of Nix 2.8",
        ),
        pytest.param(
            f"error: Cannot build '{DRV}'.\n"
            "       Reason: builder failed with exit code 3.\n"
            "       Last 1 log lines:\n       > cc: no\n"
            f"       For full logs, run:\n         nix log {DRV}",
            f"Cannot build '{DRV}'.\nReason: builder failed with exit code 3.",
            id="as later versions say it",
        ),
    ],
)
def test_a_log_is_told_once(said, reason):
    listener = Listener(None)
    for entry in (
        {"action": "start", "id": 1, "type": 105, "fields": [DRV, "", 1, 1]},
        {"action": "result", "id": 1, "type": 101, "fields": ["cc: no"]},
        {"action": "msg", "level": 0, "msg": said},
        {"action": "msg", "level": 0, "msg": "error: build of the lot failed"},
    ):
        listener.feed("@nix " + json.dumps(entry))
    failure = listener.failure()
    assert failure.drv == DRV
    assert failure.reason == reason
    assert failure.message.count("cc: no") == 1


def test_without_an_error_what_was_said_is_the_reason():
    listener = Listener(None)
    listener.feed("sh: something odd")
    failure = listener.failure()
    assert failure.message == "building the packages failed: sh: something odd"


async def test_a_builder_has_its_time_and_no_more(nix, sets, system, tmp_path):
    wanted = await installables(nix, sets, system, "tooslow")
    with pytest.raises(BuildFailed, match="timed out after 1 seconds"):
        await realise(nix, wanted, roots=tmp_path, timeout=1)


async def test_a_collected_derivation_is_told_from_a_failed_build(nix, tmp_path):
    lost = "/nix/store/00000000000000000000000000000000-lost.drv"
    with pytest.raises(DerivationLost, match=r"lost.drv was garbage-collected"):
        await realise(nix, [f"{lost}!out"], roots=tmp_path)


async def test_cancelling_ends_the_builder_too(nix, system, salted, tmp_path):
    # The builder locks nothing and says its id; it runs until it is killed.
    source = salted('slow = make "slow" "echo $$; while :; do :; done";')
    wanted = await installables(nix, source, system, "slow")
    builder: list[int] = []
    started = trio.Event()

    def on_event(event):
        if isinstance(event, BuildLog):
            builder.append(int(event.line))
            started.set()

    async with trio.open_nursery() as nursery:

        async def build():
            await realise(nix, wanted, roots=tmp_path, on_event=on_event)

        nursery.start_soon(build)
        await started.wait()
        assert Path(f"/proc/{builder[0]}").exists()
        nursery.cancel_scope.cancel()
    assert not is_running(builder[0])


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_a_log_that_is_too_long_ends_its_builder(
    nix, system, salted, tmp_path, monkeypatch
):
    """Of Nix's own making: it holds a line without end in its memory."""
    monkeypatch.setattr(nix_realise, "_LOG_SIZE", 1_000_000)
    source = salted('talks = make "talks" "/usr/bin/yes | /usr/bin/tr -d \'\\\\n\'";')
    (package,) = (await evaluate(nix, source, ["talks"], system)).packages
    with pytest.raises(BuildFailed, match="killed after writing more than 1000000"):
        await realise(nix, [package.installable], roots=tmp_path)


async def test_a_log_that_a_nix_daemon_does_not_end_is_ended_by_us(
    nix, system, salted, tmp_path, monkeypatch
):
    monkeypatch.setattr(process, "_MAX_STDERR", 1_000_000)
    source = salted(
        f'talks = make "talks" "echo $$ > {tmp_path}/pid; exec /usr/bin/yes hello";'
    )
    (package,) = (await evaluate(nix, source, ["talks"], system)).packages
    with pytest.raises(BuildFailed, match="wrote more than 0 MiB of log") as caught:
        await realise(nix, [package.installable], roots=tmp_path)
    assert caught.value.drv == package.drv_path
    assert set(caught.value.log_tail) == {"hello"}
    assert not is_running(int((tmp_path / "pid").read_text()))


async def test_what_a_builder_says_in_nixs_name_does_not_hide_its_log(
    nix, system, salted, tmp_path
):
    forged = r"@nix {\"action\":\"msg\",\"level\":0,\"msg\":\"error: forged\"}"
    source = salted(f'bad = make "bad" "echo \'{forged}\'; echo why; exit 1";')
    (package,) = (await evaluate(nix, source, ["bad"], system)).packages
    with pytest.raises(BuildFailed, match="why") as caught:
        await realise(nix, [package.installable], roots=tmp_path)
    assert caught.value.drv == package.drv_path


async def test_a_line_of_a_megabyte_is_cut(nix, system, salted, tmp_path):
    long = "/usr/bin/head -c 1000000 /dev/zero | /usr/bin/tr '\\\\000' x"
    source = salted(f'bad = make "bad" "{long}; echo; exit 1";')
    (package,) = (await evaluate(nix, source, ["bad"], system)).packages
    with pytest.raises(BuildFailed) as caught:
        await realise(nix, [package.installable], roots=tmp_path)
    line, *rest = caught.value.log_tail
    assert rest == []
    assert line == "x" * 4000 + " [cut]"
