"""What a build does, on the page: all downloads together, and each of them."""

from types import SimpleNamespace

from nixeryd.api.builds import Count, Download, Transfer
from nixeryd.web.dashboard.assets import Assets
from nixeryd.web.dashboard.rendering import Pages

WORK = '{% import "_parts.html" as parts %}{{ parts.work(build, 0) }}'


def test_downloads_have_a_total_a_speed_and_an_end():
    build = SimpleNamespace(
        id="1",
        phase="realise",
        builds=Count(),
        fetches=Count(12, 45),
        transfer=Transfer(63_000_000, 163_000_000, 12_500_000, 8.0),
        derivations=(),
        downloads=(Download("/nix/store/x-a", "a", 2000, 5000, 700),),
    )
    page = Pages(Assets())._templates.from_string(WORK).render(build=build)
    assert "12 of 45" in page
    assert "63.0 MB of 163 MB, 12.5 MB/s, 8.0 s left" in page
    assert 'max="163000000" value="63000000"' in page
    assert "2.00 kB of 5.00 kB, 700 B/s" in page
