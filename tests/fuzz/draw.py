"""What is drawn at random: bytes, names and answers that nobody should send.

Pure: the same generator draws the same again.
"""

from random import Random


def _words(text: str, *more: str) -> list[str]:
    return [*text.split(), *more]


ZEROS = "sha256:" + "0" * 64
WORDS = _words(
    """
    v2 v2 . .. ... a curious latest blobs tags list _catalog uploads referrers api v1
    builds image images static failures healthz metrics search log cache compose config
    status openapi.json %2e%2e %2f ..%2f..%2fsecret %5c..%5c %00 % %zz %ff ~ sha256:
    md5:x data index.sqlite etc passwd proc self environ ${x} $(id) `id` ' " ; <script>
    {{7*7}} - --help %61pi %1b]0;x%07 %e2%80%ae \\
    """,
    *["", ZEROS, "sha256:" + "F" * 64, "a" * 300],
)
QUERIES = _words(
    """
    ?ns=docker.io ?ns=evil.test ?ns=%0d%0aX-Evil:1 ?ns=..%2f.. ?n=1 ?n=-1 ?last=%00
    ?name=../../secret ?q=a ?name=%ff ?nixeryd-hop=9&nixeryd-ticket=x ?nixeryd-hop=-1
    ?start=-1 ?name=curious&path=/etc/passwd ?=&=&& ?name=curious ?q=x&limit=1e9 ?
    ?q=%24%7bbuiltins.abort%20%22x%22%7d ?name=%1b]52;c;eA==%07
    """,
    *["", "", "", "?n=" + "9" * 400, "?a" * 2000, "?start=" + "9" * 5000],
)
METHODS = _words("GET GET GET GET HEAD POST PUT DELETE OPTIONS PATCH FOO")
LINES = _words(
    """
    Range:bytes=0-0 Range:bytes=-1 Range:bytes=9-1 Range:bytes=0-,1-2 Range:lines=1
    If-None-Match:"x If-None-Match:* If-Range:x Via:nixeryd-x Accept:*/*;q=1e999
    Cookie:a=b; Authorization:Basic Referer:x Referer:http://evil.test/ Origin:null
    Content-Type:application/json;charset=x X-Forwarded-For:127.0.0.1 X-Nixeryd:page
    X-Forwarded-Host:localhost Origin:http://evil.test Sec-Fetch-Site:cross-site
    Sec-Purpose:prefetch User-Agent:Mozilla/5.0 Accept-Language:en Referer:http://[::1
    Sec-Fetch-Mode:navigate Sec-Fetch-Site:none Range:\xff Accept-Encoding:\xff
    """,
    *["Range: bytes=" + "9" * 400 + "-", "If-None-Match: " + '"' * 9000],
)
# They end the connection.
BAD_LINES = ["User-Agent:\xff\x1b", "User-Agent: \x1b]0;x", "Host:evil.test", "X\0:y"]
# Those that are well-formed are evaluated: few, so that Nix is not what is measured.
NAMES = _words(
    """
    curious hello breaks throws no-such docker.io/library/x ghcr.io/a/b library/nginx
    Curious curious//hello curious/curious .. a..b -a a- a_ __ a% store/x flake/x/y
    docker.io docker.io/x ${x} nix/ shell arm64 %63urious
    """
)
REFERENCES = ["latest", "no-such", ZEROS, "sha256:x", "-no", "a" * 200, "%6c", "..", ""]

_SPECIAL = [
    *map(chr, (*range(32), *range(127, 160))),
    *"\u202e\u2066\u200b\u2028\ufeff\xad\xa0\udc80\ud800\ufffe[]\\;/:@%${}'\"<>&",
]
_BEGINNINGS = _words("\x1b]52;c; \x1b]0; \x1b[8m \x9b2J \x1bP \x07 [red] [/]")


def evil_text(rng: Random, longest: int = 30) -> str:
    """Draw text that a terminal, a log or a parser may stumble over."""
    return "".join(
        rng.choice(_BEGINNINGS)
        if rng.random() < 0.1
        else rng.choice(_SPECIAL)
        if rng.random() < 0.6
        else chr(rng.randrange(0x110000))
        for _ in range(rng.randrange(longest))
    )


def path(rng: Random) -> str:
    """Draw a path with a query."""
    if rng.random() < 0.3:
        name, reference = rng.choice(NAMES), rng.choice(REFERENCES)
        return f"/v2/{name}/manifests/{reference}{rng.choice(QUERIES)}"
    words = [rng.choice(WORDS) for _ in range(rng.randrange(8))]
    return "/" + "/".join(words) + rng.choice(QUERIES)


def request(rng: Random) -> tuple[str, bytes]:
    """Draw a request that can be read in one way, whatever it asks for."""
    method = rng.choice(METHODS)
    lines = [rng.choice(LINES) for _ in range(rng.choice((0, 0, 1, 2, 3)))]
    if rng.random() < 0.02:
        lines.append(rng.choice(BAD_LINES))
    body = rng.randbytes(99) if method in {"POST", "PUT"} else b""
    if body:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([f"{method} {path(rng)} HTTP/1.1", "Host: localhost", *lines])
    return method, f"{head}\r\n\r\n".encode("latin1") + body


def name(rng: Random) -> str:
    """Draw what might be a repository, a reference, or none of it."""
    alphabet = "abcxyz019._-/:@%+~^${}\\ \0\x1b\u202eÄ"
    if rng.random() < 0.2:
        return evil_text(rng)
    if rng.random() < 0.3:
        return rng.choice(NAMES) + rng.choice(":@/. ") + rng.choice(REFERENCES)
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(40)))


def evil_json(rng: Random, like: object) -> object:
    """Draw a value of the same shape with evil texts."""
    match like:
        case dict():
            return {key: evil_json(rng, value) for key, value in like.items()}
        case list():
            return [
                evil_json(rng, one) for one in like for _ in range(rng.randrange(3))
            ]
        case str():
            return evil_text(rng)
        case _:
            return like
