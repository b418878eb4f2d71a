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

from nixeryd.images.errors import NixerydError
from nixeryd.nix.evaluate import ResolvedPackage
from nixeryd.nix.listener import BuildFailed, Listener
from nixeryd.nix.missing import require_present
from nixeryd.nix.process import Nix, NixFailed
from nixeryd.nix.progress import EventCallback
from nixeryd.process import TalksWithoutEnd

_LOG_SIZE = 256 * 2**20  # bytes that a builder may say
_OUR_LIMIT = "max-build-log-size"
_ROOT = "root"


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
    in seconds per builder, 0 for none. Raises `BuildFailed`, `DerivationLost`, and
    without a network `MissingOffline`, before anything is tried.
    """
    if not installables:
        return
    if why := nix.offline.why:
        await require_present(nix, installables, why)
    listener = Listener(on_event, ours=[_OUR_LIMIT])
    argv = [
        "nix-store",
        "--realise",
        *installables,
        "--add-root",
        os.path.abspath(roots / _ROOT),  # noqa: ASYNC240, PTH100  reads the cwd only
        "--indirect",  # implied by Nix 2.4 and later
        "--log-format",
        "internal-json",
        "-v",  # tells of downloads too
        *(["--timeout", str(timeout)] if timeout else []),
        # Nix holds a line in memory until it ends. By default there is no limit.
        "--option",
        _OUR_LIMIT,
        str(_LOG_SIZE),
    ]
    try:
        await nix.run(argv, on_stderr_line=listener.feed)
    except NixFailed as error:
        lost = None if nix.is_remote else _lost(installables)
        if lost is not None:
            raise DerivationLost(
                f"{lost} was garbage-collected before it was built; try again"
            ) from error
        raise listener.failure() from error
    except TalksWithoutEnd as error:
        raise listener.failure(f"{error}: it was ended") from error


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
