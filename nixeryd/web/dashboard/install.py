"""All pages, on the main listener."""

from quart import Response
from quart_trio import QuartTrio

from nixeryd.web.dashboard.assets import Assets
from nixeryd.web.dashboard.cache import install_cache_page
from nixeryd.web.dashboard.compose import install_compose
from nixeryd.web.dashboard.images import install_images
from nixeryd.web.dashboard.pages import install_builds, install_failures
from nixeryd.web.dashboard.rendering import Pages
from nixeryd.web.ports import AdminService


def install_dashboard(app: QuartTrio, control: AdminService) -> None:
    """Add the pages and what they need."""
    assets = Assets()
    pages = Pages(assets)

    async def answer(template: str, *, status: int = 200, **values: object) -> Response:
        daemon = await control.status()
        return pages.page(template, status=status, daemon=daemon, **values)

    assets.install(app)
    install_builds(app, control, pages, answer)
    install_failures(app, control, answer)
    install_compose(app, control.cache, answer)
    install_images(app, control.cache, answer)
    install_cache_page(app, control.cache, answer)
