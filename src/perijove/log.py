"""What the service writes for its operators, by structlog: lines for people in a terminal, JSON for a journal.

structlog is imported with the first line: with all that it brings it takes some 40 ms, for which a first certificate
would wait.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from functools import cache
from typing import Any, TextIO, cast


class _StandardError:
    """As it is, but that nothing ends by it: what cannot be written, as to a terminal that hung up, is lost."""

    def write(self, text: str) -> int:
        try:
            return sys.stderr.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


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
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _StandardError())),
    )
    return structlog.get_logger()


class _Libraries(logging.Handler):
    """What libraries tell their own loggers, as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        tell = getattr(log, record.levelname.lower(), log.warning)
        tell(record.getMessage(), logger=record.name, **({"exc_info": record.exc_info} if record.exc_info else {}))


def take_libraries() -> None:
    """Have warnings and errors of all libraries be lines of ours, of one shape with all others."""
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)


class Log:
    """structlog's logger: `log.warning("what happened", host=host)`."""

    def __getattr__(self, level: str) -> Any:
        return getattr(_structlog(), level)


log = Log()
