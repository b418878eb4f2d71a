"""rich's console for a terminal: what moves, and bars.

rich writes escape sequences of its own, so it writes past `Terminal`; what others wrote
is made plain here, where rich has made segments of it.
"""

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from nixeryd.cli.terminal import raw
from nixeryd.runtime.plaintext import plain


class PlainConsole(Console):
    """A console on which text is only text."""

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        stream = raw(sys.stderr if stderr else sys.stdout)
        super().__init__(file=stream, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render, and make plain what is not rich's own."""
        for segment in super().render(renderable, options):
            if segment.is_control:
                yield segment
            else:
                yield Segment(plain(segment.text), segment.style)
