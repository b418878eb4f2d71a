"""The pages about builds: what runs now, one build, what failed.

`/now/events` and `/builds/ID/events` tell the changing part of a page anew, as
HTML made from the same template as the page.
"""

from collections.abc import Awaitable, Callable

from quart import Response
from quart_trio import QuartTrio

from nixeryd.api.builds import Build
from nixeryd.web.dashboard.rendering import Pages, registry_name
from nixeryd.web.live import (
    BuildTeller,
    Now,
    NowTeller,
    find_build,
    last_event_number,
    now_of,
)
from nixeryd.web.ports import AdminService
from nixeryd.web.sse import stream

Answer = Callable[..., Awaitable[Response]]


def install_builds(
    app: QuartTrio, control: AdminService, pages: Pages, answer: Answer
) -> None:
    """Add what shows builds while they run, and shortly after."""
    live = control.live

    def render_now(registry: str, now: Now) -> str:
        return pages.text("_now.html", registry=registry, going=now)

    def render_build(registry: str, build: Build) -> str:
        return pages.text("_build.html", registry=registry, build=build)

    @app.get("/")
    async def now_page() -> Response:
        return await answer("now.html", going=now_of(live))

    @app.get("/now/events")
    async def now_page_events() -> Response:
        registry = registry_name()
        return stream(NowTeller(live, lambda now: render_now(registry, now)))

    @app.get("/builds/<build>")
    async def build_page(build: str) -> Response:
        found = live.build(build)
        if found is not None:
            return await answer("build.html", build=found.snapshot())
        return await answer("missing.html", status=404, what="build")

    @app.get("/builds/<build>/events")
    async def build_page_events(build: str) -> Response:
        registry = registry_name()
        teller = BuildTeller(
            find_build(live, build),
            last_event_number(),
            lambda told: render_build(registry, told),
        )
        return stream(teller)


def install_failures(app: QuartTrio, control: AdminService, answer: Answer) -> None:
    """Add what shows the builds that failed."""
    live = control.live

    @app.get("/failures")
    async def failures_page() -> Response:
        return await answer("failures.html", failures=live.failures())

    @app.get("/failures/<build>")
    async def failure_page(build: str) -> Response:
        failure = live.failure(build)
        if failure is None:
            return await answer("missing.html", status=404, what="failed build")
        lines = live.failure_log(build)
        return await answer("failure.html", failure=failure, lines=lines)
