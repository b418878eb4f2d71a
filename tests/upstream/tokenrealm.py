"""A token service (Bearer), and the gate it puts before a registry.

    realm = TokenRealm()
    await nursery.start(realm.server.run)
    proxy.on(r"/v2/", realm.gate)

https://distribution.github.io/distribution/spec/auth/token/
"""

import base64
import json
from urllib.parse import parse_qs, urlsplit

from tests.upstream.faults import FaultServer, Hold, Reply, Request


class TokenRealm:
    """Gives tokens to anybody, or to `login` alone; the gate asks for one per scope."""

    def __init__(
        self,
        login: tuple[str, str] | None = None,
        server: FaultServer | None = None,
        url: str | None = None,
    ) -> None:
        self.server = server or FaultServer()
        self._url = url
        self.server.on("/token", self._issue)
        self.hold = Hold()
        """A rule for `server.on`, at hand."""
        self.login = login
        self.refresh_token: str | None = None
        self.life = 300
        self.service = "registry.test"
        self.issued: dict[str, str] = {}
        """Valid tokens, with their scopes; take one away and it has expired."""
        self._count = 0

    @property
    def realm(self) -> str:
        return self._url or f"{self.server.url}/token"

    def gate(self, request: Request) -> Reply | None:
        """Let a request with a token for its repository pass, challenge others."""
        repository = request.target.removeprefix("/v2/")
        for word in ("/manifests/", "/blobs/", "/tags/"):
            repository = repository.partition(word)[0]
        scope = f"repository:{repository}:pull"
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.issued.get(token) == scope:
            return None
        wanted = f'Bearer realm="{self.realm}",service="{self.service}",scope="{scope}"'
        return Reply(401, {"WWW-Authenticate": wanted}, b'{"errors":[]}')

    def _issue(self, request: Request) -> Reply:
        if request.method == "POST":
            asked = parse_qs(request.body.decode())
            welcome = asked.get("refresh_token") == [self.refresh_token]
        else:
            asked = parse_qs(urlsplit(request.target).query)
            welcome = self.login is None or self._knows(request)
        if not welcome:
            return Reply(401, body=b'{"details":"incorrect username or password"}')
        assert asked["service"] == [self.service]
        token = f"secret-token-{self._count}"
        self._count += 1
        self.issued[token] = asked["scope"][0]
        answer = {"token": token, "expires_in": self.life}
        return Reply(body=json.dumps(answer).encode())

    def _knows(self, request: Request) -> bool:
        pair = ":".join(self.login).encode()
        expected = "Basic " + base64.b64encode(pair).decode()
        return request.headers.get("authorization") == expected
