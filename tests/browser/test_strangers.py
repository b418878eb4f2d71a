"""Pages of others in the same browser: they read nothing and press nothing."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

# Tries all that a page can; gives what it got, by way.
ATTACK = """
async (target) => {
  const got = {};
  const reach = async (name, path, options) => {
    try {
      const answer = await fetch(target + path, options);
      got[name] = answer.type === "opaque" ? "opaque" : `${answer.status}`;
    } catch (error) { got[name] = "refused"; }
  };
  const press = {
    method: "POST", body: '{"names": ["untouched"]}',
    headers: { "Content-Type": "application/json", "X-Nixeryd": "page" },
  };
  await reach("read", "/api/v1/status", {});
  await reach("read blindly", "/api/v1/builds", { mode: "no-cors" });
  await reach("pull", "/v2/untouched/manifests/latest", {});
  await reach("pull blindly", "/v2/untouched/manifests/latest", { mode: "no-cors" });
  await reach("press", "/api/v1/pull", press);
  await reach("press blindly", "/api/v1/pull",
    { method: "POST", mode: "no-cors", body: press.body });
  got.events = await new Promise((done) => {
    const source = new EventSource(target + "/api/v1/events");
    source.onmessage = source.onopen = () => done("opened");
    source.onerror = () => done("refused");
  });
  return got;
}
"""


@pytest.fixture
def stranger():
    """A site of somebody else on this machine; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>hi</title>")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page_of(browser):
    """Open a URL with nobody watching what it does."""
    contexts = []

    def page_of(url):
        context = browser.new_context()
        contexts.append(context)
        page = context.new_page()
        page.goto(url)
        return page

    yield page_of
    for context in contexts:
        context.close()


def nothing_was_built(site):
    builds = json.loads(site.get("/api/v1/builds"))
    return "untouched" not in {build["repository"] for build in builds}


def test_a_page_of_another_port_gets_nothing(site, stranger, page_of):
    for host in ("localhost", "127.0.0.1"):
        page = page_of(f"http://{host}:{stranger}/")
        got = page.evaluate(ATTACK, site.url)
        assert got == {
            "read": "refused",
            "read blindly": "opaque",
            "pull": "refused",
            "pull blindly": "opaque",
            "press": "refused",
            "press blindly": "opaque",
            "events": "refused",
        }
    assert nothing_was_built(site)


def test_a_form_of_another_page_presses_nothing(site, stranger, page_of):
    page = page_of(f"http://localhost:{stranger}/")
    with page.expect_navigation() as navigation:
        page.evaluate(
            """(target) => {
                const form = document.createElement("form");
                form.method = "post"; form.enctype = "text/plain";
                form.action = target + "/api/v1/pull";
                const field = document.createElement("input");
                field.name = '{"names": ["untouched"], "x": "'; field.value = '"}';
                form.append(field); document.body.append(form); form.submit();
            }""",
            site.url,
        )
    assert navigation.value.status == 403
    assert nothing_was_built(site)


def test_no_page_may_frame_ours(site, stranger, page_of):
    page = page_of(f"http://localhost:{stranger}/")
    page.evaluate(
        """(target) => new Promise((done) => {
            const frame = document.createElement("iframe");
            frame.onload = done; frame.src = target + "/compose";
            document.body.append(frame);
        })""",
        site.url,
    )
    assert all("Compose" not in frame.content() for frame in page.frames)


def test_a_name_that_was_bound_to_us_anew_is_refused(site, page_of):
    strange = f"http://evil.example:{site.port}"
    page = page_of(strange + "/")
    assert "does not answer for the host evil.example" in page.content()
    got = page.evaluate(ATTACK, strange)
    assert set(got.values()) <= {"403", "refused"}
    assert nothing_was_built(site)
