"""Who asks, as people call it: for those who watch what a build is waited for by.

It is what a client says of itself, and decides nothing.
"""

import re

# containers/image, in podman, buildah and skopeo, unless they say who they are.
_NAMES = {"containers": "podman", "Go-http-client": "a Go program"}
_PRODUCT = re.compile(r"[A-Za-z][A-Za-z0-9._+-]{0,39}", re.ASCII)


def client_name(user_agent: str | None) -> str:
    """Return the product that a User-Agent names first; "" if it names none."""
    found = _PRODUCT.match(user_agent or "")
    if found is None:
        return ""
    return _NAMES.get(found.group(), found.group())
