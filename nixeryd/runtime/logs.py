"""Logging: structlog and the standard library's loggers, in one shape on stderr.

No line shows a secret that a URL holds.
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

from nixeryd.images.logins import mask
from nixeryd.runtime.plaintext import indented


def set_up_logging(
    log_format: Literal["text", "json"],
    log_level: Literal["debug", "info", "warning", "error"] = "info",
    stream: TextIO | None = None,
) -> None:
    """Send records of a level and above to `stream`, as text or as JSON.

    Without a stream: standard error. In text, nothing that others wrote begins a line
    or reaches the terminal as it is.
    """
    stream = stream or sys.stderr
    level = logging.getLevelNamesMapping()[log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=log_format == "json"),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    renderer: structlog.typing.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=_write_traceback
        )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.dict_tracebacks if log_format == "json" else _plain,
            lambda *record: mask(str(renderer(*record))),
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # One line per upstream request is for debugging, and would show signed URLs.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _plain(
    _logger: object, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {k: indented(v) if isinstance(v, str) else v for k, v in event.items()}


def _write_traceback(out: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    out.write(
        "\n    " + indented("".join(traceback.format_exception(*exc_info))).rstrip()
    )
