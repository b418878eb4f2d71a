"""Manifests: waited for in turns, and refused so that an engine stops where it must."""

from nixeryd.images.digests import Digest
from nixeryd.images.manifests import MANIFEST_TYPE
from nixeryd.images.routes import ManifestRoute
from nixeryd.images.served_manifests import Manifest, Origin, Patience, StillBuilding
from nixeryd.web.clients import client_name
from nixeryd.web.exchange import Answer, Request
from nixeryd.web.headers import has_already, identity, not_modified, warning
from nixeryd.web.ports import Registry
from nixeryd.web.refusals import Refusals
from nixeryd.web.waiting import LateBody, RedirectHop


class Manifests:
    """Answers requests for manifests. `hold`: seconds until a client is sent round."""

    def __init__(self, registry: Registry, refusals: Refusals, hold: float) -> None:
        self._registry = registry
        self._refusals = refusals
        self._hold = hold

    async def answer(
        self, request: Request, asked: ManifestRoute, origin: Origin, turn: RedirectHop
    ) -> Answer:
        """Answer one; of an image that stands in for another registry's, always."""
        if not self._registry.stands_in(asked.repository, origin):
            return await self._answer(request, asked, origin, turn)
        if isinstance(asked.reference, Digest):  # which no other image has
            made = self._refusals.find(asked.reference)
            if made is not None:
                return made
            return await self._answer(request, asked, origin, turn)
        try:
            return await self._answer(request, asked, origin, turn)
        except Exception as error:  # noqa: BLE001  whatever it is, it has to stop here
            return self._refusals.answer(request, origin, error)

    async def _answer(
        self, request: Request, asked: ManifestRoute, origin: Origin, turn: RedirectHop
    ) -> Answer:
        asker = client_name(request.headers.get("user-agent"))
        patience = turn.patience(self._hold, asker)
        try:
            manifest = await self._registry.manifest(asked, origin, patience)
        except StillBuilding as still:
            if turn.is_last:
                return self._late(request, asked, origin, still.ticket)
            location = turn.next_location(request.path, request.query, still.ticket)
            return Answer.of_bytes(307, b"{}", {"Location": location})
        if has_already(request, manifest.digest):
            return not_modified(manifest.digest)
        headers = identity(manifest.digest) | warning(manifest.warning)
        if manifest.age is not None:
            headers["Age"] = str(manifest.age)
        return Answer.of_bytes(
            200, manifest.body, headers, content_type=manifest.media_type
        )

    def _late(
        self, request: Request, asked: ManifestRoute, origin: Origin, ticket: str
    ) -> Answer:
        """Answer when there is no other way to wait: see `nixeryd.web.waiting`.

        A Content-Length of 0 would be believed, so HEAD gets none either.
        """

        async def get() -> Manifest:
            patience = Patience(ticket=ticket)
            try:
                return await self._registry.manifest(asked, origin, patience)
            except Exception as error:
                if not self._registry.stands_in(asked.repository, origin):
                    raise
                body = self._refusals.late(request, origin, error)
                if body is None:
                    raise
                return Manifest(body, Digest.of(body), MANIFEST_TYPE)

        is_head = request.method == "HEAD"
        return Answer(
            200, {"Content-Type": MANIFEST_TYPE}, b"" if is_head else LateBody(get)
        )
