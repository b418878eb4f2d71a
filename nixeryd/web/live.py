"""What goes on, as JSON and as events: builds, their logs, what failed.

`/api/v1/events` tells the whole state whenever it is new: it is small, and a
reader who missed some has missed nothing. A log is told in parts by line number.
"""

from collections.abc import Callable, Sequence

import msgspec
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import NotFound

from nixeryd.api.builds import Build, Fetch
from nixeryd.web.framework import respond
from nixeryd.web.ports import AdminService, Live, Watch
from nixeryd.web.sse import frame, stream


class Now(msgspec.Struct, frozen=True):
    """The state that `/api/v1/events` tells."""

    builds: Sequence[Build]
    fetches: Sequence[Fetch]
    queued: Sequence[str]  # images whose builds wait for their turn


def now_of(live: Live) -> Now:
    """Return what goes on."""
    return Now(live.builds(), live.fetches(), live.queued())


def install_live(app: QuartTrio, control: AdminService) -> None:
    """Add the API's reading side of builds and failures."""
    _install_builds(app, control.live)
    _install_failures(app, control.live)


def _install_builds(app: QuartTrio, live: Live) -> None:

    @app.get("/api/v1/events")
    async def events() -> Response:
        return stream(NowTeller(live))

    @app.get("/api/v1/builds")
    async def builds() -> Response:
        return respond(200, msgspec.json.encode(live.builds()))

    @app.get("/api/v1/builds/<build>")
    async def build(build: str) -> Response:
        return respond(200, msgspec.json.encode(find_build(live, build).snapshot()))

    @app.get("/api/v1/builds/<build>/log")
    async def build_log(build: str) -> Response:
        start = request.args.get("start", 0, type=int)
        part = find_build(live, build).log(max(start, 0))
        return respond(200, msgspec.json.encode(part))

    @app.get("/api/v1/builds/<build>/events")
    async def build_events(build: str) -> Response:
        return stream(BuildTeller(find_build(live, build), last_event_number()))


def _install_failures(app: QuartTrio, live: Live) -> None:
    @app.get("/api/v1/failures")
    async def failures() -> Response:
        return respond(200, msgspec.json.encode(live.failures()))

    @app.get("/api/v1/failures/<build>")
    async def failure(build: str) -> Response:
        found = live.failure(build)
        if found is None:
            raise NotFound(f"there is no failed build {build}")
        return respond(200, msgspec.json.encode(found))

    @app.get("/api/v1/failures/<build>/log")
    async def failure_log(build: str) -> Response:
        if live.failure(build) is None:
            raise NotFound(f"there is no failed build {build}")
        text = "".join(line + "\n" for line in live.failure_log(build))
        return respond(200, text.encode(), content_type="text/plain; charset=utf-8")


def find_build(live: Live, build: str) -> Watch:
    """Find a build, or answer 404."""
    found = live.build(build)
    if found is None:
        raise NotFound(
            f"there is no build {build} any more: only the last ones are known,"
            " and none from before the daemon was started"
        )
    return found


def last_event_number() -> int:
    """Read Last-Event-ID as the number it was sent as; 0 for a new reader."""
    told = request.headers.get("Last-Event-ID", "")
    # A number of ours: so many digits will do.
    return int(told) if told.isascii() and told.isdigit() and len(told) <= 15 else 0  # noqa: PLR2004


def _as_json(now: Now) -> str:
    return msgspec.json.encode(now).decode()


def _one_as_json(build: Build) -> str:
    return msgspec.json.encode(build).decode()


class NowTeller:
    """Tells all that goes on, as one event."""

    def __init__(self, live: Live, render: Callable[[Now], str] = _as_json) -> None:
        self._live = live
        self._render = render
        self._seen = -1

    async def changed(self) -> None:
        await self._live.changes.wait(self._seen)

    def tell(self) -> list[bytes]:
        if self._live.changes.version == self._seen:
            return []
        self._seen = self._live.changes.version
        text = self._render(now_of(self._live))
        return [frame(text, event="now", number=str(self._seen))]

    @property
    def is_over(self) -> bool:
        return self._live.changes.is_closed


class BuildTeller:
    """Tells of one build: `build` for its state, `log` for lines from `start` on."""

    def __init__(
        self, watch: Watch, start: int, render: Callable[[Build], str] = _one_as_json
    ) -> None:
        self._watch = watch
        self._render = render
        self._seen = -1
        # What is beyond its end is a number of another log.
        self._line = start if start <= watch.log(start).total else 0
        self._told: Build | None = None

    async def changed(self) -> None:
        await self._watch.changes.wait(self._seen)

    def tell(self) -> list[bytes]:
        self._seen = self._watch.changes.version
        told = []
        part = self._watch.log(self._line)
        if part.lines:
            self._line = part.total
            text = msgspec.json.encode(part).decode()
            told.append(frame(text, event="log", number=str(self._line)))
        state = self._watch.snapshot()
        if state != self._told:
            self._told = state
            text = self._render(state)
            told.append(frame(text, event="build", number=str(self._line)))
        if self.is_over and state.state != "running":  # or else the daemon ends
            told.append(frame("{}", event="end", number=str(self._line)))
        return told

    @property
    def is_over(self) -> bool:
        return self._watch.changes.is_closed
