"""From package names to derivations: one run of nix/resolve.nix.

The law: a request's words reach Nix as JSON in a string and never as code; one
bad name does not hide another. Errors that Nix can catch leave no message, so
what failed is evaluated again by itself, only to hear why.

The derivations are in the store when this returns, without a GC root: Nix can
root only what is built. `realise` notices if one was collected in between.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio

from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.nix.hints import explain_missing
from nixeryd.nix.listing import list_names
from nixeryd.nix.packageset import EvaluationFailed, PackageSet
from nixeryd.nix.process import Nix, NixFailed
from nixeryd.nix.ranking import NESTED
from nixeryd.nix.reads import Reads

_AT_ONCE = 2  # evaluations side by side; one of nixpkgs takes some 500 MB


@dataclass(frozen=True, slots=True)
class ResolvedPackage:
    """One package as evaluated; nothing is built yet.

    `attribute` is the name asked for; `outputs` are the store paths to install,
    in the order of `output_names`, or placeholders (`is_floating`);
    `name` is the derivation's, with version.
    """

    attribute: str
    drv_path: str
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]
    name: str
    main_program: str | None

    @property
    def is_floating(self) -> bool:
        """Whether nobody knows the outputs' paths before they are built.

        So with content-addressed derivations: `outputs` are placeholders until then.
        """
        store = self.drv_path.rpartition("/")[0] + "/"
        return not all(path.startswith(store) for path in self.outputs)

    @property
    def installable(self) -> str:
        """What `realise` takes: the derivation with the outputs wanted of it."""
        if not self.output_names:
            return self.drv_path  # a store path, made by whatever
        return f"{self.drv_path}!{','.join(self.output_names)}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The packages, in the order they were asked for."""

    packages: tuple[ResolvedPackage, ...]


class PackagesNotFound(RegistryError):  # noqa: N818  the interface's name
    """Names that mean no package: 404. `names` are these; the message says more."""

    def __init__(self, message: str, names: Sequence[str]) -> None:
        super().__init__(ErrorCode.MANIFEST_UNKNOWN, message)
        self.names = tuple(names)


# What builtins.typeOf calls it, and what people do.
_KINDS = {
    "bool": "a boolean",
    "float": "a number",
    "int": "a number",
    "lambda": "a function",
    "list": "a list",
    "null": "null",
    "path": "a path",
    "set": "a set of packages",
    "string": "a string",
}


@dataclass(frozen=True, slots=True)
class _Problem:
    name: str
    text: str
    is_missing: bool


async def evaluate(  # noqa: PLR0913  each is a word of the question
    nix: Nix,
    source: PackageSet | Path,
    packages: Sequence[str],
    system: str,
    *,
    optional: Collection[str] = (),
    reads: Reads | None = None,
) -> Evaluation:
    """Evaluate packages of a set; a path is that of a directory or a .nix file.

    Of `optional` names those that are no packages are left out. What was read is
    added to `reads`, whatever comes of it. Raises `PackagesNotFound` or
    `EvaluationFailed`, which name all bad packages.
    """
    package_set = PackageSet(source) if isinstance(source, Path) else source
    await package_set.check()
    called = package_set.called
    reads = Reads() if reads is None else reads
    query = partial(_query, nix, package_set, system, reads=reads)
    try:
        answers = await query(packages)
    except NixFailed:
        # Something tryEval can't catch. It may be the source, or one package.
        try:
            await query([])
        except NixFailed as error:
            raise EvaluationFailed(
                f"{called} does not evaluate: {package_set.explain(nix, error)}"
            ) from error
        answers = {name: {"status": "failed"} for name in packages}

    failed = [name for name in packages if answers[name]["status"] == "failed"]
    answers |= await _one_by_one(query, failed, partial(package_set.explain, nix))

    problems: list[_Problem] = []
    resolved: list[ResolvedPackage] = []
    for name in packages:
        match answers[name]["status"]:
            case "found":
                resolved.append(_resolved(name, answers[name]))
            case "failed":
                text = f"{name} does not evaluate: {answers[name]['message']}"
                problems.append(_Problem(name, text, is_missing=False))
            case _ if name in optional:
                continue
            case _:
                nested = partial(_nested_names, nix, package_set, system)
                text = await _why_missing(name, answers[name], nested)
                problems.append(_Problem(name, text, is_missing=True))
    if problems:
        raise _error(package_set, problems)
    return Evaluation(tuple(resolved))


async def _query(  # noqa: PLR0913  each is a word of the question
    nix: Nix,
    package_set: PackageSet,
    system: str,
    names: Sequence[str],
    *,
    reads: Reads,
    catch: bool = True,
) -> dict[str, Any]:
    answers: dict[str, Any] = await package_set.ask(
        nix,
        "resolve.nix",
        {
            "names": json.dumps(list(names)),
            "system": system,
            "catch": "yes" if catch else "no",
        },
        reads,
        trace=not catch,
    )
    return answers


async def _one_by_one(
    query: "partial[Any]", names: Sequence[str], explain: Callable[[NixFailed], str]
) -> dict[str, dict[str, Any]]:
    answers: dict[str, dict[str, Any]] = {}
    limiter = trio.CapacityLimiter(_AT_ONCE)

    async def ask(name: str) -> None:
        async with limiter:
            try:
                answers[name] = (await query([name], catch=False))[name]
            except NixFailed as error:
                answers[name] = {"status": "failed", "message": explain(error)}

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(ask, name)
    return answers


def _resolved(name: str, answer: dict[str, Any]) -> ResolvedPackage:
    return ResolvedPackage(
        attribute=name,
        drv_path=answer["drvPath"],
        outputs=tuple(output["path"] for output in answer["outputs"]),
        output_names=tuple(output["name"] for output in answer["outputs"]),
        name=answer["name"],
        main_program=answer["mainProgram"],
    )


async def _why_missing(
    name: str, answer: dict[str, Any], nested: Callable[[], Awaitable[list[str]]]
) -> str:
    if answer["status"] == "not-a-derivation":
        kind = _KINDS.get(answer["type"], answer["type"])
        return f"{name} is not a package but {kind}"
    path, siblings = answer["path"], answer["siblings"]
    inner = [] if path or not set(NESTED) & set(siblings) else await nested()
    # 25,000 names take a moment, and others are being served.
    return await trio.to_thread.run_sync(explain_missing, name, path, siblings, inner)


async def _nested_names(nix: Nix, package_set: PackageSet, system: str) -> list[str]:
    """List what is in the nested sets of nixpkgs."""
    try:
        names = await list_names(nix, package_set, system, Reads())
    except (NixFailed, EvaluationFailed):
        return []  # there is a better error to tell
    return [name for name in names if "." in name]


def _error(package_set: PackageSet, problems: Sequence[_Problem]) -> RegistryError:
    texts = "\n".join(problem.text for problem in problems)
    message = f"{package_set.called}: {texts}"
    names = [problem.name for problem in problems]
    if any(problem.is_missing for problem in problems):
        if package_set.advice:
            message += f"\n{package_set.advice}"
        return PackagesNotFound(message, names)
    return EvaluationFailed(message, names)


__all__ = [
    "Evaluation",
    "EvaluationFailed",
    "PackagesNotFound",
    "ResolvedPackage",
    "evaluate",
]
