import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from nixeryd.doctor.findings import Level
from nixeryd.doctor.network import check_upstreams


@pytest.fixture
def answering():
    """A server that answers /v2/ with a status; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(int(self.path.split("/")[1]))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "level"), [(200, Level.OK), (401, Level.OK), (404, Level.NOTE)]
)
def test_a_registry_is_told_from_what_is_none(answering, status, level):
    (finding,) = check_upstreams({"r.test": f"{answering}/{status}"})
    assert finding.level is level


def test_what_is_not_there_is_a_note_with_a_reason():
    (finding,) = check_upstreams({"r.test": "http://127.0.0.1:1"})
    assert finding.level is Level.NOTE
    assert "refused" in finding.text
