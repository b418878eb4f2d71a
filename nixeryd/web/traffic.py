"""How busy the daemon is with requests, for one that ends when nobody asks.

A connection that is kept open for later does not count, a response that is
still read does.
"""

import math

import trio

from nixeryd.web.asgi import App, Receive, Scope, Send


class Traffic:
    """How many requests are being answered, and since when there is none.

    `quiet_since` is in seconds on trio's clock.
    """

    def __init__(self) -> None:
        self.running = 0
        self.quiet_since = -math.inf

    def count(self, app: App) -> App:
        """Wrap an app so that its requests are counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            self.running += 1
            try:
                await app(scope, receive, send)
            finally:
                self.running -= 1
                if not self.running:
                    self.quiet_since = trio.current_time()

        return counted
