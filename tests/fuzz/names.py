"""Names, references, paths, headers: read by pure code, which knows no surprises."""

from contextlib import suppress
from random import Random

from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.images.freshness import render_warning
from nixeryd.images.names import parse_reference, parse_repository
from nixeryd.images.references import parse_name
from nixeryd.images.routes import decide, route
from nixeryd.upstream.challenges import parse_challenges
from nixeryd.web.clients import client_name
from nixeryd.web.guard import refuse
from nixeryd.web.hosts import Policy
from nixeryd.web.ranges import RangeNotSatisfiable, parse_range
from tests.fuzz import draw

_POLICY = Policy(frozenset({"nix.example"}), allow_remote=True)
_UPSTREAMS = {"docker.io", "ghcr.io"}


def read_names(rng: Random, count: int) -> None:
    """Have each of `count` texts read by all who read such; raises on a defect."""
    for _ in range(count):
        text, reference = draw.name(rng), draw.name(rng)
        for read, *asked in (
            (parse_repository, text),
            (parse_reference, text),
            (parse_name, text),
            (Digest.parse, text),
            (route, f"/v2/{text}/manifests/{reference}", {"n": text}),
            (_decide, text, reference),
        ):
            with suppress(NixerydError):
                read(*asked)
        _read_headers(text, reference)


def _decide(text: str, ns: str) -> None:
    components = parse_repository(text)
    for mirror in (False, True):
        decide(components, ns=ns, mirror=mirror, upstreams=_UPSTREAMS, own_hosts=())


def _read_headers(text: str, more: str) -> None:
    headers = [
        ("host", text),
        ("referer", more),
        ("origin", text),
        ("user-agent", more),
    ]
    refuse("GET", f"/{text}", headers, _POLICY)
    refuse("POST", more, [("host", "localhost"), *headers[1:]], _POLICY)
    client_name(text)
    parse_challenges([text])
    with suppress(RangeNotSatisfiable):
        parse_range(f"bytes={text}", 100)
    assert render_warning(text).isprintable()
