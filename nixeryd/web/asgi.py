"""The types of ASGI, under short names; hypercorn has them written down.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from hypercorn.typing import (
    ASGIFramework as App,
    ASGIReceiveCallable as Receive,
    ASGISendCallable as Send,
    ASGISendEvent as Event,
    Scope,
)

__all__ = ["App", "Event", "Receive", "Scope", "Send"]
