"""The command to paste: what an image needs, it says."""

import pytest

from nixeryd.web.dashboard.assets import Assets
from nixeryd.web.dashboard.rendering import Pages

COMMAND = (
    '{% import "_parts.html" as parts %}{{ parts.command(image, "localhost:5000") }}'
)


@pytest.mark.parametrize(
    ("image", "flags"),
    [
        ("git", "--rm"),
        ("git/thin", "--rm"),
        ("thin/git:latest", "--rm -v /nix/store:/nix/store:ro"),
        ("arm64/thin/git", "--rm -v /nix/store:/nix/store:ro"),
    ],
)
def test_a_thin_image_is_run_with_the_store_mounted(image, flags):
    template = Pages(Assets())._templates.from_string(COMMAND)
    rendered = template.render(image=image)
    assert f"<code>docker run {flags} localhost:5000/{image}</code>" in rendered
