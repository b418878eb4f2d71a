"""The API, asked as its description says, and as it does not allow.

schemathesis reads the document that the daemon serves, and draws requests that fit it
and some that do not. Whatever comes is answered as described, without a 5xx.
"""

import pytest
import schemathesis
from hypothesis import given
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from nixeryd.web.openapi import ENDPOINTS
from tests.e2e.serving import ODD, odd_source, serving
from tests.hostile.examples import examples

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# These have no end, or start what takes Nix a while.
NOT_HERE = {
    "/api/v1/events",
    "/api/v1/builds/{build}/events",
    "/api/v1/pull",
    "/api/v1/popularity",
}
SLOW = {"/api/v1/search"}
RIGHT = [one for one in ENDPOINTS if one.path not in NOT_HERE | SLOW]
# Where something can be wrong.
WRONG = [
    one for one in ENDPOINTS if one.path not in NOT_HERE and (one.query or one.body)
]
TRIED = [(GenerationMode.POSITIVE, one.method, one.path) for one in RIGHT] + [
    (GenerationMode.NEGATIVE, one.method, one.path) for one in WRONG
]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    place = tmp_path_factory.mktemp("api")
    with serving(place, *odd_source(place), "--offline", environ=ODD) as daemon:
        yield daemon
    assert "Traceback" not in daemon.process.output


@pytest.fixture(scope="module")
def schema(daemon):
    document = daemon.ask("/api/v1/openapi.json").json
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"http://localhost:{daemon.port}")
    return schema


@pytest.mark.parametrize(("mode", "method", "path"), TRIED)
def test_whatever_is_asked_is_answered_as_described(daemon, schema, mode, method, path):
    operation = schema[path][method]
    # As the page would: others may change nothing.
    headers = {
        "Origin": f"http://localhost:{daemon.port}",
        "X-Nixeryd": "page",
        "Host": f"localhost:{daemon.port}",
    }

    @examples(3)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        case.call_and_validate(checks=CHECKS, headers=headers)

    ask()
    assert "Traceback" not in daemon.process.output
