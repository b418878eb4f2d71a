"""Are the upstreams reachable; asked only when the user says so.

Law: they are asked by the daemon's own client, with its proxies, certificates and
logins, so that what works here works there.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import trio

from nixeryd.config.networking import place
from nixeryd.config.proxies import DIRECT, parse_proxy
from nixeryd.config.settings import ConfigError, Settings
from nixeryd.doctor.findings import Finding, note, ok
from nixeryd.mirror.sources import open_upstreams
from nixeryd.upstream import RetryPolicy, Upstream, UpstreamError, UpstreamNotFound
from nixeryd.upstream.trust import is_near

# What decides by which way others are asked, and whom to believe.
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_OTHERS_MAY_READ = stat.S_IRGRP | stat.S_IROTH


def check_security(settings: Settings) -> Iterator[Finding]:
    """Name the upstreams that are asked in the clear, or believed unseen."""
    for name, upstream in settings.all_upstreams.items():
        if upstream.insecure:
            yield note(
                "upstream",
                f"{name} is believed whatever certificate it shows (insecure = true):"
                " who stands between can read its password and change its tags",
                f'[upstreams."{name}"] ca = "/path/to/its/CA.pem" instead',
            )
        elif upstream.url.startswith("http://") and not is_near(upstream.url):
            yield note(
                "upstream",
                f"{name} is asked without encryption: {upstream.url}",
                "an https url, with ca = … if its certificate is your company's",
            )
        file = place(upstream.password_file)
        if file is not None:
            yield from _check_password_file(name, file)


def _check_password_file(name: str, file: Path) -> Iterator[Finding]:
    try:
        mode = file.stat().st_mode
    except OSError as error:
        yield note("upstream", f"{name}: its password_file {file}: {error.strerror}")
        return
    if mode & _OTHERS_MAY_READ:
        text = f"{name}: others can read its password_file"
        yield note("upstream", text, f"chmod 600 {file}")


def check_way(
    settings: Settings, daemon: Mapping[str, str] | None, ours: Mapping[str, str]
) -> Iterator[Finding]:
    """Say which proxy is used, and what a daemon that runs has otherwise.

    `daemon` is its environment, None if none runs or it cannot be seen.
    """
    proxy = settings.network.proxy
    if proxy:
        said = "none (network.proxy)" if proxy == DIRECT else str(parse_proxy(proxy))
        yield ok("proxy", said)
    names = () if proxy else _PROXIES
    differing = [
        name
        for name in (*names, *_CERTIFICATES)
        if daemon is not None and _value(daemon, name) != _value(ours, name)
    ]
    if differing:
        yield note(
            "proxy" if differing[0] in _PROXIES else "upstream",
            f"the daemon that runs has another {', '.join(map(str.upper, differing))}"
            " than this shell",
            "nixeryd service install, or start it anew from this shell",
        )


def environment_of(pid: int) -> dict[str, str] | None:
    """Return the environment that a process was started with; None if it is not told.

    That of another user is not, nor is any where there is no /proc.
    """
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    pairs = (os.fsdecode(entry).partition("=") for entry in entries if entry)
    return {name: value for name, _, value in pairs}


def _value(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.upper()) or ""


async def check_upstreams(
    settings: Settings, environ: Mapping[str, str] = os.environ
) -> list[Finding]:
    """Ask each registry whether it is one, and whether it takes the login it gets."""
    found: dict[str, Finding] = {}
    try:
        async with (
            open_upstreams(settings, RetryPolicy(attempts=1), environ) as upstreams,
            trio.open_nursery() as nursery,
        ):

            async def ask(name: str, client: Upstream) -> None:
                found[name] = await _ask(name, client)

            for name, client in upstreams.clients.items():
                nursery.start_soon(ask, name, client)
    except ConfigError as error:
        return [note("upstream", str(error))]
    return [found[name] for name in upstreams.clients]


async def _ask(name: str, client: Upstream) -> Finding:
    try:
        lets_us_in = await client.check()
    except UpstreamNotFound:
        return note("upstream", f"{name}: {client.url}/v2/ is 404, as at no registry")
    except UpstreamError as error:
        return note(
            "upstream",
            str(error),
            f"curl -I {client.url}/v2/; behind a proxy set network.proxy",
        )
    return ok(
        "upstream", f"{name} answers{'' if lets_us_in else ', and wants a login'}"
    )
