"""What the service writes for its operators: lines for people in a terminal, JSON for a journal."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

LAST_WORDS = 2000
"""Bytes."""


def last_words(path: Path) -> str:
    """The end of a program's log, however long that is, for evidence. Raises OSError."""
    with path.open("rb") as file:
        file.seek(-min(file.seek(0, os.SEEK_END), LAST_WORDS), os.SEEK_END)
        return file.read(LAST_WORDS).decode(errors="replace")


def _written(level: str, event: str, values: dict[str, object], error: BaseException | None) -> None:
    """Nothing ends by it: what cannot be written, as to a terminal that hung up, is lost."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    trace = "".join(traceback.format_exception(error)).rstrip() if error is not None else ""
    with suppress(OSError):
        if sys.stderr.isatty():
            told = "".join(f" {name}={value!r}" for name, value in values.items())
            line = f"{now} [{level}] {event}{told}" + (f"\n{trace}" if trace else "")
        else:
            values |= {"event": event, "level": level, "timestamp": now} | ({"exception": trace} if trace else {})
            line = json.dumps(values, default=repr)
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


class _Libraries(logging.Handler):
    """What libraries tell their own loggers, as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        _written(record.levelname.lower(), record.getMessage(), {"logger": record.name}, error)


def take_libraries() -> None:
    """Have warnings and errors of all libraries be lines of ours, of one shape with all others."""
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)


class Log:
    """Lines with values: `log.warning("what happened", host=host)`."""

    def info(self, event: str, **values: object) -> None:
        _written("info", event, values, None)

    def warning(self, event: str, **values: object) -> None:
        _written("warning", event, values, None)

    def error(self, event: str, **values: object) -> None:
        _written("error", event, values, None)

    def exception(self, event: str, **values: object) -> None:
        """With the exception that is being handled."""
        _written("error", event, values, sys.exc_info()[1])


log = Log()
