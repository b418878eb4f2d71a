"""What Prometheus reads of a daemon, and what its log says at debug."""

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import need
from tests.e2e.serving import serving


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    need("nix-instantiate")
    place = tmp_path_factory.mktemp("metrics")
    with serving(place, "--log-level=debug", "--log-format=json") as daemon:
        yield daemon


def read(daemon):
    """Return each sample's value by its name and labels, as Prometheus reads them."""
    text = daemon.ask("/metrics").body.decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_pull_is_counted_and_logged(daemon):
    before = read(daemon)
    manifest = json.loads(daemon.ask("/v2/hello/manifests/latest").body)
    layer = manifest["layers"][0]
    blob = f"/v2/hello/blobs/{layer['digest']}"
    assert len(daemon.ask(blob).body) == layer["size"]
    assert daemon.ask(blob, "HEAD").status == 200
    assert daemon.ask("/v2/nothing-here/manifests/latest").status == 404
    after = read(daemon)

    def rise(name, **labels):
        key = (name, *sorted(labels.items()))
        return after.get(key, 0) - before.get(key, 0)

    requests = "nixeryd_requests_total"
    assert rise(requests, kind="manifests", status="200") == 1
    assert rise(requests, kind="manifests", status="404") == 1
    assert rise(requests, kind="blobs", status="200") == 2
    assert rise("nixeryd_blob_sent_bytes_total", origin="cache") == layer["size"]
    assert rise("nixeryd_builds_total", outcome="built") == 1
    assert rise("nixeryd_builds_total", outcome="failed") == 1
    assert rise("nixeryd_build_duration_seconds_count") == 1
    assert rise("nixeryd_layers_total", outcome="packed") == len(manifest["layers"])
    assert after[("nixeryd_cache_bytes",)] >= layer["size"]
    (info,) = (key for key in after if key[0] == "nixeryd_build_info")
    assert {name for name, _ in info[1:]} == {"nix", "python", "version"}

    asked = daemon.process.wait_for_line(rf'.*"path": "{blob}".*')[0]
    line = json.loads(asked)
    assert (line["level"], line["status"]) == ("debug", 200)
    assert (line["method"], line["bytes"]) == ("GET", layer["size"])
    # Layers are packed at the same time. That of the symlinks has no store paths, and
    # may be the first to be told of.
    stored = r'(?=.*"event": "layer packed").*"paths": \["/nix/store/.*'
    packed = json.loads(daemon.process.wait_for_line(stored)[0])
    assert packed["bytes"] > 0
