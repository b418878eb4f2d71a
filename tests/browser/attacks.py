"""All the ways that we know of in which a page makes a browser send a request.

Each is a piece of HTML in which URL stands for the target. `sent` tells from which
origins Chromium 156 was seen to send it (`tests/browser/test_all_requests.py` has
their letters); "" is what it never sends, kept for the day when it does.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attack:
    """`targets`: what is asked for. `is_tab`: needs a tab of its own."""

    name: str
    html: str
    sent: str = "SXD"
    targets: tuple[str, ...] = ("v2", "mirror", "api")
    is_tab: bool = False
    headers: tuple[tuple[str, str], ...] = ()  # of the page itself


GETS = ("v2", "mirror", "api")
POSTS = ("v2", "mirror", "pull", "gc")
ONE = ("v2",)
OWN = ("v2", "api")  # of one origin with a page that was bound to us anew
SECURE = "S"  # only pages of localhost are a secure context


def _script(name: str, code: str, sent: str = "SXD", **more: object) -> Attack:
    return Attack(name, f"<script>{{ {code} }}</script>", sent, **more)


def _module(name: str, code: str, sent: str = "SXD", **more: object) -> Attack:
    return Attack(name, f'<script type="module">{code}</script>', sent, **more)


def _style(name: str, css: str, body: str = "<p id=p>a</p>", **more: object) -> Attack:
    return Attack(name, f"<style>{css}</style>{body}", targets=ONE, **more)


def _link(rel: str, more: str = "", sent: str = "SXD", **others: object) -> Attack:
    html = f'<link rel="{rel}" href="URL" {more}>'
    return Attack(f"link {rel} {more}".strip(), html, sent, **others)


def _fetch(name: str, options: str, sent: str = "SXD", **more: object) -> Attack:
    return _script(name, f"fetch('URL', {options}).catch(() => 0)", sent, **more)


def _form(name: str, attributes: str, sent: str = "SXD", **more: object) -> Attack:
    html = (
        f'<iframe name="f-URL"></iframe><form action="URL" target="f-URL" {attributes}>'
        f'<input type="hidden" name="row" value="TAG"><input name=\'{{"names": ["untouched"], "x": "\' value=\'"}}\'></form>'
        f"<script>document.forms[document.forms.length - 1].requestSubmit()</script>"
    )
    return Attack(name, html, sent, **more)


def _rules(name: str, rules: str, sent: str, **more: object) -> Attack:
    html = f'<script type="speculationrules">{rules}</script>'
    return Attack(name, html, sent, ONE, is_tab=True, **more)


_SVG = "<svg xmlns='http://www.w3.org/2000/svg' width=9 height=9>{}</svg>"

ATTACKS = [
    # --- before anybody has asked ------------------------------------------------
    *(
        _rules(
            f"speculation rules: {action}, {eagerness}",
            f'{{"{action}": [{{"source": "list", "eagerness": "{eagerness}",'
            ' "urls": ["URL"]}]}',
            sent,
        )
        for action, eagerness, sent in (
            ("prefetch", "immediate", "SX"),
            ("prefetch", "eager", ""),
            ("prerender", "immediate", "SX"),
            ("prerender_until_script", "immediate", ""),
        )
    ),
    _rules(
        "speculation rules: without a referrer",
        '{"prefetch": [{"urls": ["URL"], "referrer_policy": "no-referrer"}]}',
        "SX",
    ),
    _rules(
        "speculation rules: by a private proxy",
        '{"prefetch": [{"urls": ["URL"], "requires":'
        ' ["anonymous-client-ip-when-cross-origin"]}]}',
        "",
    ),
    Attack(
        "speculation rules of a document",
        '<a href="URL">a</a><script type="speculationrules">{"prefetch":'
        ' [{"source": "document", "eagerness": "immediate"}]}</script>',
        "SX",
        ONE,
        is_tab=True,
    ),
    Attack(
        "speculation rules by a header",
        "<p>",
        "SX",
        ONE,
        is_tab=True,
        headers=(("Speculation-Rules", '"/attack/rules?to=URL"'),),
    ),
    _link("prefetch"),
    _link("prefetch", 'as="document"'),
    _link("prerender", sent=""),
    *(
        _link("preload", f'as="{kind}"')
        for kind in ("script", "style", "image", "track", "fetch")
    ),
    _link("preload", 'as="font" crossorigin'),
    Attack("link preload imagesrcset", '<link rel=preload as=image imagesrcset="URL 1x">'),
    Attack(
        "preload by a header",
        "<p>",
        headers=(("Link", "<URL>; rel=preload; as=image"),),
    ),
    _link("modulepreload"),
    _link("stylesheet"),
    _link("alternate stylesheet", 'title="x"'),
    _link("icon", sent=""),
    _link("apple-touch-icon", sent=""),
    _link("mask-icon", sent=""),
    _link("manifest", sent=""),
    _link("compression-dictionary"),
    _link("dns-prefetch", sent=""),
    _link("preconnect", sent=""),  # a connection, and nothing on it
    *(
        _link(rel, sent="")
        for rel in (
            "alternate", "author", "canonical", "expect", "help", "import", "license",
            "me", "next", "pingback", "prev", "privacy-policy", "search", "serviceworker",
            "subresource", "terms-of-service", "webmention",
        )
    ),
    # --- images and media ----------------------------------------------------------
    Attack("img", '<img src="URL">'),
    Attack("img, without a referrer", '<img src="URL" referrerpolicy="no-referrer">'),
    Attack("img, crossorigin", '<img src="URL" crossorigin="use-credentials">'),
    Attack("img srcset", '<img srcset="URL 1x">'),
    Attack("picture", '<picture><source srcset="URL"><img></picture>'),
    Attack("input of type image", '<input type="image" src="URL">'),
    Attack("body background", '<body background="URL">', targets=ONE),
    Attack("table background", '<table background="URL"><tr><td>a</table>'),
    Attack("video", '<video src="URL" preload="auto"></video>'),
    Attack("video poster", '<video poster="URL"></video>'),
    Attack("audio", '<audio src="URL" preload="auto"></audio>'),
    Attack("audio source", '<audio preload="auto"><source src="URL"></audio>'),
    Attack(
        "track",
        '<video crossorigin><track default src="URL"></video><script>'
        "for (const t of document.querySelectorAll('track')) t.track.mode = 'showing'"
        "</script>",
    ),
    Attack("video of a playlist", '<video src="/attack/playlist?to=URL" preload="auto"></video>'),
    Attack("svg image", _SVG.format('<image href="URL" width=9 height=9 />')),
    Attack("svg use", _SVG.format('<use href="URL#a" />'), "D", OWN),
    Attack(
        "svg feImage",
        _SVG.format(
            '<filter id=f><feImage href="URL" /></filter>'
            '<rect width=9 height=9 filter="url(#f)" />'
        ),
    ),
    Attack("svg script", _SVG.format('<script href="URL"></script>')),
    _script("Image()", "new Image().src = 'URL'"),
    _script("Audio()", "new Audio('URL').load()"),
    _script("Notification icon", "try { new Notification('a', {icon: 'URL'}) } catch {}", ""),
    _script(
        "MediaSession artwork",
        "navigator.mediaSession.metadata = new MediaMetadata({artwork: [{src: 'URL'}]})",
        "",
    ),
    # --- scripts, workers, worklets ----------------------------------------------------
    Attack("script", '<script src="URL"></script>'),
    Attack("script, with integrity", '<script src="URL" crossorigin integrity="sha256-x"></script>'),
    Attack("module", '<script type="module" src="URL"></script>'),
    _module("import()", "import('URL').catch(() => 0)"),
    _module("import of JSON", "import('URL', {with: {type: 'json'}}).catch(() => 0)"),
    _module("import of CSS", "import('URL', {with: {type: 'css'}}).catch(() => 0)"),
    _script("Worker", "try { new Worker('URL') } catch {}", "D", targets=OWN),
    _script("module Worker", "try { new Worker('URL', {type: 'module'}) } catch {}", "D", targets=OWN),
    _script("SharedWorker", "try { new SharedWorker('URL') } catch {}", "D", targets=OWN),
    _script(
        "importScripts in a Worker",
        "new Worker(URL_.createObjectURL(new Blob(['importScripts(\"URL\")'])))",
    ),
    _script(
        "fetch in a Worker",
        "new Worker(URL_.createObjectURL(new Blob(['fetch(\"URL\", {mode: \"no-cors\"})'])))",
    ),
    _script("service worker", "navigator.serviceWorker?.register('URL').catch(() => 0)", ""),
    _script(
        "audio worklet",
        "new AudioContext().audioWorklet?.addModule('URL').catch(() => 0)",
        SECURE,
    ),
    _script("paint worklet", "CSS.paintWorklet?.addModule('URL').catch(() => 0)", SECURE),
    _script("layout worklet", "CSS.layoutWorklet?.addModule('URL').catch(() => 0)", ""),
    _script(
        "shared storage worklet",
        "window.sharedStorage?.worklet.addModule('URL').catch(() => 0)",
        "",
    ),
    # --- frames, objects ----------------------------------------------------------
    Attack("iframe", '<iframe src="URL"></iframe>'),
    Attack("iframe, credentialless", '<iframe credentialless src="URL"></iframe>'),
    Attack("iframe, sandboxed", '<iframe sandbox src="URL"></iframe>'),
    _script(
        "frame",
        "document.documentElement.innerHTML = '<frameset><frame src=\"URL\"></frameset>'",
        targets=ONE,
    ),
    Attack("object", '<object data="URL"></object>'),
    Attack("object of a type", '<object data="URL" type="image/svg+xml"></object>'),
    Attack("embed", '<embed src="URL">'),
    Attack("embed of a type", '<embed src="URL" type="application/pdf">'),
    Attack("applet", '<applet archive="URL" code="URL"></applet>', ""),
    Attack("fenced frame", '<fencedframe src="URL"></fencedframe>', ""),
    Attack("portal", '<portal src="URL"></portal>', ""),
    _script(
        "fenced frame's config",
        "const f = document.createElement('fencedframe');"
        " try { f.config = new FencedFrameConfig('URL'); document.body.append(f) } catch {}",
        "",
    ),
    # --- style --------------------------------------------------------------------
    _style("@import", "@import url('URL');"),
    _style("background", "p { background: url('URL') }"),
    _style("image-set", "p { background: image-set('URL' 1x) }"),
    _style("content", "p::before { content: url('URL') }"),
    _style("list-style-image", "p { display: list-item; list-style-image: url('URL') }"),
    _style("border-image", "p { border: 9px solid; border-image: url('URL') 9 }"),
    _style("mask", "p { mask: url('URL') }"),
    _style("mask-image", "p { mask-image: url('URL') }"),
    _style("clip-path", "p { clip-path: url('URL#a') }"),
    _style("filter", "p { filter: url('URL#a') }", sent="D"),
    _style("cursor", "p { cursor: url('URL'), auto }"),
    _style("shape-outside", "p { float: left; shape-outside: url('URL') }"),
    _style(
        "@font-face",
        "@font-face { font-family: 'f-URL'; src: url('URL') } p { font-family: 'f-URL' }",
    ),
    # --- asking -------------------------------------------------------------------
    _fetch("fetch", "{}"),
    _fetch("fetch, no-cors", "{mode: 'no-cors'}"),
    _fetch("fetch, no-cors, without a referrer", "{mode: 'no-cors', referrerPolicy: 'no-referrer'}"),
    _fetch("fetch, same-origin", "{mode: 'same-origin'}", "D", targets=OWN),
    _fetch("fetch, HEAD", "{method: 'HEAD', mode: 'no-cors'}"),
    _fetch("fetch, with credentials", "{credentials: 'include'}"),
    _fetch("fetch, keepalive", "{keepalive: true, mode: 'no-cors'}"),
    _fetch("fetch of a part", "{headers: {Range: 'bytes=0-9'}}"),
    _fetch("fetch, as another client", "{headers: {'User-Agent': 'docker/29.1'}, referrerPolicy: 'no-referrer'}"),
    _fetch("fetch, in no language", "{headers: {'Accept-Language': '*'}, referrerPolicy: 'no-referrer'}"),
    _fetch("fetch, of a local address", "{targetAddressSpace: 'loopback'}"),
    _fetch("fetch, preflighted", "{headers: {'X-Nixeryd': 'page'}}"),
    _fetch("fetch, POST", "{method: 'POST', body: '{}'}", targets=POSTS),
    _fetch("fetch, POST, no-cors", "{method: 'POST', mode: 'no-cors', body: '{}'}", targets=POSTS),
    _fetch("fetch, POST, keepalive", "{method: 'POST', keepalive: true, mode: 'no-cors', body: '{}'}", targets=POSTS),
    _fetch("fetch, a button", "{method: 'POST', body: '{}', headers: {'X-Nixeryd': 'page'}}", targets=POSTS),
    *(
        _fetch(f"fetch, {method}", f"{{method: '{method}'}}", targets=POSTS)
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS")
    ),
    _script("fetchLater", "window.fetchLater?.('URL', {activateAfter: 0})", SECURE),
    _script("XMLHttpRequest", "const x = new XMLHttpRequest(); x.open('GET', 'URL'); x.send()"),
    _script(
        "XMLHttpRequest, POST",
        "const x = new XMLHttpRequest(); x.open('POST', 'URL'); x.send('{}')",
        targets=POSTS,
    ),
    _script("sendBeacon", "navigator.sendBeacon('URL', '{}')", targets=POSTS),
    _script(
        "sendBeacon of JSON",
        "navigator.sendBeacon('URL', new Blob(['{}'], {type: 'application/json'}))",
        targets=POSTS,
    ),
    _script("sendBeacon of a form", "navigator.sendBeacon('URL', new FormData())", targets=POSTS),
    _script("EventSource", "new EventSource('URL')"),
    _script("EventSource, with credentials", "new EventSource('URL', {withCredentials: true})"),
    _script("WebSocket", "new WebSocket('URL'.replace('http', 'ws'))"),
    _script("WebTransport", "try { new WebTransport('URL'.replace('http:', 'https:')).ready.catch(() => 0) } catch {}", ""),
    _script(
        "a payment's manifest",
        "try { new PaymentRequest([{supportedMethods: 'URL'}], {total: {label: 'a',"
        " amount: {currency: 'EUR', value: '1'}}}).canMakePayment().catch(() => 0) } catch {}",
        SECURE,
    ),
    _script(
        "a login's manifest",
        "navigator.credentials?.get({identity: {mode: 'passive', providers: [{configURL: 'URL',"
        " clientId: 'a'}]}}).catch(() => 0)",
        "",
    ),
    _script("an identity's logo", "navigator.credentials?.store?.(new FederatedCredential({id: 'a', provider: 'http://a', iconURL: 'URL'})).catch(() => 0)", ""),
    _script("an attribution", "try { new XMLHttpRequest().setAttributionReporting } catch {}; const i = new Image(); i.setAttribute('attributionsrc', 'URL'); document.body?.append(i)", ""),
    # --- leading somewhere --------------------------------------------------------
    _form("form, GET", 'method="get"', targets=GETS),
    *(
        _form(f"form, {kind}", f'method="post" enctype="{kind}"', targets=POSTS)
        for kind in (
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "text/plain",
        )
    ),
    Attack(
        "formaction",
        '<iframe name="f-URL"></iframe><form method=post target="f-URL">'
        '<button formaction="URL"></button></form><script>'
        "document.forms[document.forms.length - 1].querySelector('button').click()</script>",
        targets=POSTS,
    ),
    Attack(
        "ping",
        '<a ping="URL" href="#" class=a>a</a><script>'
        "for (const a of document.querySelectorAll('.a')) a.click()</script>",
        targets=POSTS,
    ),
    Attack(
        "area ping",
        '<map name=m><area ping="URL" href="#" class=a></map><script>'
        "for (const a of document.querySelectorAll('.a')) a.click()</script>",
        targets=POSTS,
    ),
    _script("location", "location = 'URL'", targets=ONE),
    _script("location, in a tab", "location = 'URL'", targets=ONE, sent="X", is_tab=True),
    _script("location of the API, in a tab", "location = 'URL'", targets=("api",), sent="X", is_tab=True),
    _script("location of an odd path, in a tab", "location = 'URL'", targets=("odd",), sent="X", is_tab=True),
    _script("window.open", "open('URL')", targets=ONE, sent="X", is_tab=True),
    _script("window.open, noopener", "open('URL', '', 'noopener')", targets=ONE, sent="X", is_tab=True),
    Attack("a link that is clicked", '<a id=a href="URL">a</a><script>a.click()</script>', targets=ONE, sent="X", is_tab=True),
    Attack("a download", '<a id=a download href="URL">a</a><script>a.click()</script>', targets=ONE, sent="X", is_tab=True),
    Attack("meta refresh", '<meta http-equiv="refresh" content="0; url=URL">', targets=ONE, sent="X", is_tab=True),
    Attack("a Refresh header", "<p>", targets=ONE, sent="X", is_tab=True, headers=(("Refresh", "0; url=URL"),)),
    _script("location.replace of a hash and back", "history.pushState(0, '', '#'); location.replace('URL')", targets=ONE, sent="X", is_tab=True),
    Attack("a redirect of an image", '<img src="/attack/redirect?to=URL">'),
    Attack("a redirect of a frame", '<iframe src="/attack/redirect?to=URL"></iframe>'),
    _script(
        "a redirect of a POST, 307",
        "fetch('/attack/redirect?to=URL', {method: 'POST', body: '{}', mode: 'no-cors'}).catch(() => 0)",
        targets=POSTS,
    ),
    _script("a redirect of a beacon", "navigator.sendBeacon('/attack/redirect?to=URL', '{}')", targets=POSTS),
    Attack("a redirect to what is prefetched", '<link rel="prefetch" href="/attack/redirect?to=URL">'),
    _rules(
        "speculation rules: by a redirect",
        '{"prefetch": [{"urls": ["/attack/redirect?to=URL"]}]}',
        "S",
    ),
    # --- what a browser reports ---------------------------------------------------
    Attack(
        "CSP report-uri",
        '<img src="/attack/nothing">',
        targets=ONE,
        headers=(("Content-Security-Policy", "img-src 'none'; report-uri URL"),),
    ),
    Attack(
        "CSP report-uri, report only",
        '<img src="/attack/nothing">',
        targets=ONE,
        headers=(("Content-Security-Policy-Report-Only", "img-src 'none'; report-uri URL"),),
    ),
    Attack(
        "CSP report-to",
        '<img src="/attack/nothing">',
        "",
        targets=ONE,
        is_tab=True,
        headers=(
            ("Reporting-Endpoints", 'e="URL"'),
            ("Content-Security-Policy", "img-src 'none'; report-to e"),
        ),
    ),
    Attack(
        "Reporting API: a permission",
        "<script>navigator.geolocation.getCurrentPosition(() => 0)</script>",
        "",
        targets=ONE,
        is_tab=True,
        headers=(
            ("Reporting-Endpoints", 'default="URL"'),
            ("Permissions-Policy", "geolocation=()"),
        ),
    ),
    Attack(
        "network error logging",
        '<img src="/attack/nothing">',
        "",
        targets=ONE,
        headers=(
            ("Report-To", '{"group": "n", "max_age": 99, "endpoints": [{"url": "URL"}]}'),
            ("NEL", '{"report_to": "n", "max_age": 99, "success_fraction": 1.0}'),
        ),
    ),
    # --- what documents may hold that is not HTML ---------------------------------
    Attack("an XSLT style sheet", '<iframe src="/attack/xml?to=URL"></iframe>', "D", OWN),
    Attack("an external entity", '<iframe src="/attack/entity?to=URL"></iframe>', ""),
    Attack("an SVG document", '<iframe src="/attack/svg?to=URL"></iframe>'),
    Attack("a source map", "<script>1\n//# sourceMappingURL=URL</script>", ""),
    Attack("cite, longdesc, profile", '<q cite="URL">a</q><img longdesc="URL"><div itemprop="a" itemid="URL">a</div>', ""),
    Attack("an old manifest", '<html manifest="URL">', "", targets=ONE),
]  # fmt: skip
