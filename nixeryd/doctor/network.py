"""Are the upstreams reachable; asked only when the user says so."""

import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping

from nixeryd.doctor.findings import Finding, note, ok

_PATIENCE = 10  # seconds
_ALIVE = {200, 401}  # a registry answers /v2/ so (distribution spec, "end-1")


def check_upstreams(urls: Mapping[str, str]) -> Iterator[Finding]:
    """Ask each registry whether it is one; `urls` by their names."""
    for name, url in urls.items():
        reason = _reason(f"{url.rstrip('/')}/v2/")
        if reason is None:
            yield ok("upstream", f"{name} answers")
        else:
            yield note(
                "upstream",
                f"{name}: {reason}",
                f"curl -I {url.rstrip('/')}/v2/; behind a proxy set HTTPS_PROXY",
            )


def _reason(url: str) -> str | None:
    try:
        request = urllib.request.Request(url)  # noqa: S310  the configuration's
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    return None if status in _ALIVE else f"answers {status}, as no registry does"
