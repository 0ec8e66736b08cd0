"""What the service writes for its operators, by structlog: lines for people in a terminal, JSON for a journal.

structlog is imported with the first line: with all that it brings it takes some 40 ms, for which a first certificate
would wait.
"""

from __future__ import annotations

import logging
import sys
from functools import cache
from typing import Any


@cache
def _structlog() -> Any:
    import structlog  # noqa: PLC0415  imported late, as said above

    renderer: Any = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    return structlog.get_logger()


class Log:
    """structlog's logger: `log.warning("what happened", host=host)`."""

    def __getattr__(self, level: str) -> Any:
        return getattr(_structlog(), level)


log = Log()
