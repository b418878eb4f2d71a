from nixeryd.images.metrics import Gauge, gauge, render_metrics


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
