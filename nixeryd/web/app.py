"""The apps, one for each kind of listener: who may connect and what is served.

The main and the mirror listener serve the registry; the admin socket serves the
API with the right to change things. Trust comes from the listener alone: nothing a
client sends can open another one.
"""

import trio

from nixeryd.web.asgi import App, Receive, Scope, Send
from nixeryd.web.guard import Guard
from nixeryd.web.hosts import Policy
from nixeryd.web.ports import AdminService, ListenerKind, Registry
from nixeryd.web.registry import RegistryApp
from nixeryd.web.waiting import HOLD


def create_app(
    registry: Registry,
    control: AdminService,
    listener_kind: ListenerKind,
    policy: Policy,
    *,
    hold: float = HOLD,
) -> Guard:
    """Return the ASGI app for the listeners of one kind.

    A manifest that takes more than `hold` seconds is waited for in turns.
    """
    app = _Late(control, listener_kind)
    if listener_kind is ListenerKind.ADMIN:
        return Guard(app, policy)
    mirror = listener_kind is ListenerKind.MIRROR
    return Guard(RegistryApp(registry, app, mirror=mirror, hold=hold), policy)


class _Late:
    """The app of all but /v2, made when the first request for it comes.

    Its framework is imported only then, in a thread: see `nixeryd.web.framework`.
    """

    def __init__(self, control: AdminService, listener_kind: ListenerKind) -> None:
        self._control = control
        self._kind = listener_kind
        self._app: App | None = None
        self._making = trio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            async with self._making:
                if self._app is None:
                    self._app = await trio.to_thread.run_sync(self._make)
        await self._app(scope, receive, send)

    def _make(self) -> App:
        from nixeryd.web.api import install_api, install_health  # noqa: PLC0415  late
        from nixeryd.web.cache import install_cache  # noqa: PLC0415  late
        from nixeryd.web.contents import install_insides  # noqa: PLC0415  late
        from nixeryd.web.dashboard.install import (  # noqa: PLC0415  late
            install_dashboard,
        )
        from nixeryd.web.framework import make_framework_app  # noqa: PLC0415  late
        from nixeryd.web.live import install_live  # noqa: PLC0415  late
        from nixeryd.web.openapi import install_openapi  # noqa: PLC0415  late

        app = make_framework_app()
        install_health(app)
        if self._kind is not ListenerKind.MIRROR:
            install_api(app, self._control, self._kind)
            install_live(app, self._control)
            install_cache(app, self._control.cache, self._kind)
            install_insides(app, self._control.cache)
            install_openapi(app)
        if self._kind is ListenerKind.MAIN:
            install_dashboard(app, self._control)
        return app
