"""The apps, one for each door: who comes in by it and what they find there.

The main and the mirror listener serve the registry; the admin socket serves the
API with the right to change things. Trust comes from the door alone: nothing a
client sends can open another one.
"""

from quart_trio import QuartTrio

from nixeryd.web.api import install_api, install_health
from nixeryd.web.dashboard.install import install_dashboard
from nixeryd.web.errors import install_handlers
from nixeryd.web.guard import Guard, Policy
from nixeryd.web.live import install_live
from nixeryd.web.ports import Control, Door, Registry
from nixeryd.web.registry import RegistryApp
from nixeryd.web.waiting import HOLD

_MAX_REQUEST = 1024 * 1024  # bytes; nothing is pushed here


def create_app(
    registry: Registry,
    control: Control,
    door: Door,
    policy: Policy,
    *,
    hold: float = HOLD,
) -> Guard:
    """Make the ASGI app for the listeners of one door.

    A manifest that takes more than `hold` seconds is waited for in turns.

    Neither startup nor shutdown hooks of the framework are run: what the ports
    need is open before, and closed after, by whoever owns them.
    """
    app = QuartTrio("nixeryd", static_folder=None)
    app.config["RESPONSE_TIMEOUT"] = None  # would cut long bodies, silently
    app.config["MAX_CONTENT_LENGTH"] = _MAX_REQUEST
    # A path is what was asked for; no redirects to prettier ones.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    install_handlers(app)
    install_health(app)
    if door is not Door.MIRROR:
        install_api(app, control, door)
        install_live(app, control)
    if door is Door.MAIN:
        install_dashboard(app, control)
    if door is Door.ADMIN:
        return Guard(app, policy)
    mirror = door is Door.MIRROR
    return Guard(RegistryApp(registry, app, mirror=mirror, hold=hold), policy)
