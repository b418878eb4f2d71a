"""Build derivations, or fetch what they would give: `nix-store --realise`.

One process for all of them. It leaves indirect GC roots, and it is quick when
everything is there. Nix's JSON log becomes events, and if a build fails, the
end of its log becomes part of the error.

Nix manual, `nix-store --realise`; `drv!out,man` asks for these outputs only.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import trio

from nixeryd.images.errors import NixerydError
from nixeryd.nix.caches import TooMuchToBuild
from nixeryd.nix.evaluate import ResolvedPackage
from nixeryd.nix.listener import BuildFailed, Listener
from nixeryd.nix.missing import require_present
from nixeryd.nix.process import Nix, NixFailed
from nixeryd.nix.progress import EventCallback
from nixeryd.runtime.process import TalksWithoutEnd

_LOG_SIZE = 256 * 2**20  # bytes that a builder may say
_OUR_LIMIT = "max-build-log-size"
_ROOT = "root"
_LOOK = 0.25  # seconds between two looks at how Nix is doing


class DerivationLost(NixerydError):  # noqa: N818  what happened, not what it is
    """Garbage collection took a derivation after its evaluation: evaluate again."""


async def realise(
    nix: Nix,
    installables: Sequence[str],
    *,
    roots: Path,
    timeout: int = 0,  # noqa: ASYNC109  Nix's own, per builder
    on_event: EventCallback | None = None,
) -> None:
    """Make these derivations' outputs valid, and root them in directory `roots`.

    `installables` are .drv paths, or `ResolvedPackage.installable`. `timeout` is
    in seconds per builder, 0 for none. Raises `BuildFailed`, `CacheFailed`,
    `StoreFull`, `DerivationLost`, and before anything is tried `TooMuchToBuild`, or
    `MissingOffline` without a network.
    """
    if not installables:
        return
    if why := nix.offline.why:
        await require_present(nix, installables, why)
    if nix.limits.builds:
        await _check_plan(nix, installables)
    listener = _listener(nix, on_event)
    argv = [
        *_command(nix, installables),
        "--add-root",
        os.path.abspath(roots / _ROOT),  # noqa: ASYNC240, PTH100  reads the cwd only
        "--indirect",  # implied by Nix 2.4 and later
        *(["--timeout", str(timeout)] if timeout else []),
        # Nix holds a line in memory until it ends. By default there is no limit.
        "--option",
        _OUR_LIMIT,
        str(_LOG_SIZE),
    ]
    try:
        await _run(nix, argv, listener)
    except NixFailed as error:
        lost = None if nix.is_remote else _lost(installables)
        if lost is not None:
            raise DerivationLost(
                f"{lost} was garbage-collected before it was built; try again"
            ) from error
        raise listener.failure() from error
    except TalksWithoutEnd as error:
        raise listener.failure(f"{error}: it was ended") from error


async def _check_plan(nix: Nix, installables: Sequence[str]) -> None:
    listener = _listener(nix)
    try:
        await _run(nix, [*_command(nix, installables), "--dry-run"], listener)
    except NixFailed as error:
        raise listener.failure() from error
    if listener.planned.builds > nix.limits.builds:
        raise _too_much(nix, listener, listener.planned.builds)


def _command(nix: Nix, installables: Sequence[str]) -> list[str]:
    options = {} if nix.offline.on else nix.limits.cache_options
    return [
        "nix-store",
        "--realise",
        *installables,
        "--log-format",
        "internal-json",
        "-v",  # tells of downloads too
        *(word for pair in options.items() for word in ("--option", *pair)),
    ]


def _listener(nix: Nix, on_event: EventCallback | None = None) -> Listener:
    return Listener(on_event, ours=[_OUR_LIMIT, *nix.limits.cache_options])


async def _run(nix: Nix, argv: Sequence[str], listener: Listener) -> None:
    """Run Nix while it has something to wait for; raises what `Nix.run` does."""
    ended: NixerydError | None = None
    listener.moved = trio.current_time()
    async with trio.open_nursery() as nursery:

        def end(why: NixerydError) -> None:
            nonlocal ended
            ended = ended or why
            nursery.cancel_scope.cancel()

        def hear(line: str) -> None:
            listener.feed(line)
            # More than was planned: a cache lacks what it offers.
            if nix.limits.builds and listener.builds > nix.limits.builds:
                end(_too_much(nix, listener, listener.builds))

        async def watch() -> None:
            await _stall(nix, listener)
            end(listener.stalled(nix.limits.cache_seconds))

        nursery.start_soon(watch)
        try:
            await nix.run(argv, on_stderr_line=hear)
        except NixerydError as error:
            ended = ended or error
        nursery.cancel_scope.cancel()
    if ended is not None:
        raise ended


async def _stall(nix: Nix, listener: Listener) -> None:
    """Wait until Nix has waited for a cache for too long."""
    while True:
        patience = nix.limits.cache_seconds or float("inf")
        if listener.awaited and trio.current_time() - listener.moved > patience:
            return
        await trio.sleep(_LOOK)


def _too_much(nix: Nix, listener: Listener, builds: int) -> TooMuchToBuild:
    return TooMuchToBuild(builds, nix.limits.builds, listener.why_builds)


def realised(
    packages: Sequence[ResolvedPackage], roots: Path
) -> tuple[ResolvedPackage, ...]:
    """Put the outputs that were realised in the place of those that nobody knew.

    `packages` are those whose installables were realised, in the same order; where
    they lead is read from the roots, which Nix calls ROOT[-NUMBER][-OUTPUT].
    """
    return tuple(
        replace(
            package,
            outputs=tuple(
                os.readlink(_root(roots, number, output))  # noqa: PTH115  text
                for output in package.output_names
            ),
        )
        if package.is_floating
        else package
        for number, package in enumerate(packages, 1)
    )


def _root(roots: Path, number: int, output: str) -> Path:
    name = _ROOT + (f"-{number}" if number > 1 else "")
    return roots / (name if output == "out" else f"{name}-{output}")


def _lost(installables: Sequence[str]) -> str | None:
    drvs = (installable.partition("!")[0] for installable in installables)
    return next((drv for drv in drvs if not Path(drv).exists()), None)


__all__ = ["BuildFailed", "DerivationLost", "realise", "realised"]
