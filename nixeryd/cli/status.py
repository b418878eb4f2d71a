"""`nixeryd status`: the daemon's state on one screen."""

import json
from pathlib import Path
from typing import Any

import click

from nixeryd.cli.ages import render_age
from nixeryd.cli.main import settings_options
from nixeryd.cli.show_work import render_transfer
from nixeryd.cli.terminal import style
from nixeryd.images.sizes import render_size

_DOORS = (("main", "registry"), ("mirror", "mirror"), ("admin", "admin"))
_FAILURES = 3  # one screen is enough
_QUEUED = 3


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@settings_options
def status(config: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Show what the daemon serves and what it is doing."""
    from nixeryd.cli.client import Client  # noqa: PLC0415  takes a moment

    client = Client(config, data_dir)
    found = client.get("/api/v1/status")
    listeners = found["listeners"]
    found["strangers"] = client.strangers(
        [*listeners["main"], *listeners.get("mirror", [])]
    )
    found["failures"] = client.get("/api/v1/failures")[:_FAILURES]  # the last first
    click.echo(json.dumps(found, indent=2) if as_json else _render(found))


def _render(found: dict[str, Any]) -> str:
    offline = found["offline"]
    rows = [
        ("nixeryd", f"{found['version']}, pid {found['pid']}"),
        *((n, _at(found["listeners"][d])) for d, n in _DOORS if found["listeners"][d]),
        *(("strangers", _warn(one)) for one in found["strangers"]),
        ("source", _source(**found["source"])),
        ("changes", found["source"]["state"]),
        ("network", _warn(f"offline: {offline}") if offline else "online"),
        ("images", f"{found['images']} built, {found['mirrored']} mirrored"),
        ("cache", f"{_cache(**found['cache'])}, in {found['data_dir']}"),
        ("nix", found["nix"]),
    ]
    rows += [
        ("quota", f"{upstream['name']}: {_quota(upstream['rate_limit'])}")
        for upstream in found["upstreams"]
        if upstream["rate_limit"]
    ]
    queued = [build for build in found["builds"] if build["queued"]]
    rows += [
        (
            "building",
            f"{build['repository']}:{build['tag']}, {build['seconds']:.0f} s"
            + _work(build),
        )
        for build in found["builds"]
        if not build["queued"]
    ]
    if queued:
        rows.append(("queued", _queue(queued)))
    rows += [
        ("fetching", f"{one['source']} {one['blob'][7:19]}, {_progress(one)}")
        for one in found["downloads"]
    ]
    rows += [("failed", _warn(_failure(one))) for one in found["failures"]]
    return "\n".join(f"{style(f'{n:<10}', dim=True)}{text}" for n, text in rows)


def _at(addresses: list[str]) -> str:
    named = [one.replace("127.0.0.1", "localhost") for one in addresses]
    return ", ".join(one if one[0] == "/" else f"http://{one}" for one in named)


def _source(name: str, path: str, revision: str | None, **more: Any) -> str:
    if not revision:
        return f"{name}: {path}"
    del more
    commit, _, has_edits = revision.partition("-")
    edited = _warn(", edited") if has_edits else ""
    return f"{name}: {path} ({commit[:12]}{edited})"


def _warn(text: str) -> str:
    return style(text, fg="yellow")


def _failure(failure: dict[str, Any]) -> str:
    first = failure["message"].partition("\n")[0]
    image = f"{failure['repository']}:{failure['tag']}"
    return f"{image}, {render_age(failure['since'])}: {first}"


def _work(build: dict[str, Any]) -> str:
    """Say what Nix does for a build: counts, bytes, speed and what is left."""
    if build["phase"] != "realise":
        return f", {build['phase']}" if build["phase"] else ""
    kinds = (("built", build["builds"]), ("downloaded", build["fetches"]))
    parts = [
        f"{count['done']} of {count['expected']} {kind}"
        for kind, count in kinds
        if count["expected"]
    ]
    if build["transfer"]["expected"]:
        parts.append(render_transfer(**build["transfer"]))
    return "".join(f", {part}" for part in parts)


def _queue(builds: list[dict[str, Any]]) -> str:
    """Say who waits for a turn: how many, and the first of them by name."""
    names = [f"{build['repository']}:{build['tag']}" for build in builds[:_QUEUED]]
    more = len(builds) - len(names)
    longest = max(build["seconds"] for build in builds)
    rest = f" and {more} more" if more else ""
    return f"{len(builds)} for up to {longest:.0f} s: {', '.join(names)}{rest}"


def _cache(size: int | None, cap: int | None, checked: float | None) -> str:
    used = "being counted" if size is None else render_size(size)
    capped = f" of {render_size(cap)}" if cap else ", without a cap"
    return f"{used}{capped}{f', checked {render_age(checked)}' if checked else ''}"


def _quota(limit: dict[str, Any]) -> str:
    """Say it as `76 of 100 pulls left per 6 h, seen 5 min ago`."""
    left = "?" if limit["remaining"] is None else limit["remaining"]
    total = "" if limit["limit"] is None else f" of {limit['limit']}"
    window = f" per {limit['window'] / 3600:g} h" if limit["window"] else ""
    return f"{left}{total} pulls left{window}, seen {render_age(limit['seen'])}"


def _progress(download: dict[str, Any]) -> str:
    arrived = f"{download['arrived'] / 1e6:.1f}"
    if download["size"] is None:
        return f"{arrived} MB"
    return f"{arrived} of {download['size'] / 1e6:.1f} MB"
