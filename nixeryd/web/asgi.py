"""The types of ASGI, under short names; hypercorn has them written down.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from hypercorn.typing import (
    ASGIFramework as App,
    ASGIReceiveCallable as Receive,
    ASGISendCallable as Send,
    Scope,
)

__all__ = ["App", "Receive", "Scope", "Send"]
