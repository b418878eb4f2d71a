import pytest

from nixeryd.runtime.metrics import Counter, Gauge, Histogram, gauge, render_metrics
from nixeryd.web.traffic import request_kind


def test_gauges_are_rendered():
    text = render_metrics(
        [
            gauge("up", "Is it.", value=True),
            Gauge("left", "Pulls.", [({"at": 'a"b\\c\nd'}, 7), ({"at": "e"}, None)]),
            Gauge("size", "Bytes.", [({"of": "a", "in": "b"}, 1)]),
            Gauge("nothing", "Nobody knows.", [({}, None)]),
        ]
    )
    assert text == (
        "# HELP up Is it.\n# TYPE up gauge\nup 1.0\n"
        '# HELP left Pulls.\n# TYPE left gauge\nleft{at="a\\"b\\\\c\\nd"} 7.0\n'
        '# HELP size Bytes.\n# TYPE size gauge\nsize{of="a",in="b"} 1.0\n'
    )


def test_large_numbers_are_exact():
    assert " 1800000000.25\n" in render_metrics([gauge("a", "b", 1_800_000_000.25)])


def test_a_counter_has_a_line_for_each_combination_of_labels():
    counter = Counter("pulls_total", "Pulls.", ("kind", "status"))
    counter.inc("b", "200")
    counter.inc("a", "404", by=2)
    counter.inc("b", "200")
    assert render_metrics([counter]) == (
        "# HELP pulls_total Pulls.\n# TYPE pulls_total counter\n"
        'pulls_total{kind="a",status="404"} 2.0\n'
        'pulls_total{kind="b",status="200"} 2.0\n'
    )
    assert counter.value("b", "200") == 2
    assert counter.value("b", "500") == 0
    with pytest.raises(ValueError, match="labels"):
        counter.inc("b")


def test_a_counter_without_labels_begins_at_zero():
    assert render_metrics([Counter("x_total", "X.")]).endswith("\nx_total 0.0\n")


@pytest.mark.parametrize(
    ("value", "first"), [(0.5, 0), (1, 0), (1.5, 1), (10, 1), (11, 2)]
)
def test_a_bucket_counts_all_up_to_its_bound(value, first):
    histogram = Histogram("took_seconds", "Time.", (1, 10))
    histogram.observe(value)
    lines = render_metrics([histogram]).splitlines()
    assert lines[2:5] == [
        f'took_seconds_bucket{{le="{bound}"}} {int(number >= first)}'
        for number, bound in enumerate((1, 10, "+Inf"))
    ]
    assert lines[5:] == [f"took_seconds_sum {float(value)}", "took_seconds_count 1"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v2/", "version"),
        ("/v2", "version"),
        ("/v2/shell/git/manifests/latest", "manifests"),
        ("/v2/manifests/manifests/latest", "manifests"),
        ("/v2/shell/git/blobs/sha256:ab", "blobs"),
        ("/v2/shell/git/tags/list", "tags"),
        ("/v2/shell/git/referrers/sha256:ab", "referrers"),
        ("/v2/blobs/x", "version"),
        ("/api/v1/status", "api"),
        ("/healthz", "probe"),
        ("/", "page"),
        ("/images/shell/git", "page"),
        ("", "page"),
    ],
)
def test_a_request_is_of_one_of_few_kinds(path, kind):
    assert request_kind(path) == kind
