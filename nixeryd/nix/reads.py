"""What an evaluation read, as it told it: the input of "has any of it changed?".

Filled while an evaluation runs, and whole when it has ended, well or not. Pure: how
it is heard is `nix.told`'s, and what is there now is `fingerprint.outside`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["file", "directory", "status", "tree", "work tree"]
"""What of a path was read: its bytes; the names in it; whether it is there, and
what; all below it; the files of a git repository, and what its refs are."""

Read = tuple[Kind, str]
_PLACES = ("url", "path")  # arguments of fetchers
_PINS = ("sha256", "hash", "narHash", "rev")
_LOCAL = ("git+file://", "hg+file://", "tarball+file://", "path://", "file://", "path:")


@dataclass(slots=True)
class Reads:
    """Paths, as they were written; variables of the environment; and what is unknown.

    `source` is the path of what was evaluated, if that is
    one. `unknown` says what was read that nobody can look at again, if anything was.
    """

    paths: set[Read] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    source: str | None = None
    unknown: str | None = None

    def update(self, others: "Reads") -> None:
        """Add all that is in others."""
        self.paths |= others.paths
        self.variables |= others.variables
        self.source = self.source or others.source
        self.unknown = self.unknown or others.unknown

    def add(self, kind: str, what: object) -> None:
        """Add what `nix/told.nix` said."""
        match kind, what:
            case ("file" | "directory" | "status" | "tree") as known, str(path):
                self.paths.add((known, path))
            case "variable", str(name):
                self.variables.add(name)
            case "find", {"name": str(name), "places": list(places)}:
                self._add_search(name, places)
            case "fetch", {"builtin": str(fetcher), **arguments}:
                self._add_fetch(fetcher, arguments)
            case "unknown", str(name):
                self.unknown = f"builtins.{name} says what it likes"
            case _:
                self.unknown = f"it read a {kind} that is new to nixeryd"

    def _add_search(self, name: str, places: list[Mapping[str, str]]) -> None:
        """Add each place of the search path where the name may come to be found.

        Nix manual, "Lookup path"; a later place counts once an earlier one goes.
        """
        for place in places:
            prefix, path = place["prefix"], place["path"]
            if prefix and name != prefix and not name.startswith(f"{prefix}/"):
                continue
            if not path.startswith("/"):
                self.unknown = f"<{name}> may be at {path}"
                continue
            rest = name.removeprefix(prefix).lstrip("/") if prefix else name
            self.paths.add(("status", f"{path}/{rest}" if rest else path))

    def _add_fetch(self, fetcher: str, arguments: Mapping[object, object]) -> None:
        places = [str(arguments[name]) for name in _PLACES if arguments.get(name)]
        place = places[0] if places else ""
        if any(arguments.get(pin) for pin in _PINS) or any(
            f"{pin}=" in place for pin in _PINS
        ):
            return  # always the same, wherever it is from
        path = place.partition("?")[0]
        for scheme in _LOCAL:
            path = path.removeprefix(scheme)
        is_bounded = not (arguments.get("ref") or arguments.get("submodules"))
        if not path.startswith("/") or fetcher == "getFlake" or not is_bounded:
            self.unknown = f"builtins.{fetcher} asks {place or 'something'} anew"
        elif fetcher in ("fetchTarball", "fetchurl"):
            self.paths.add(("file", path))
        else:
            self.paths.add(("work tree", path))
