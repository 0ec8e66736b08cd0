"""The command, run in this process against an admin socket that answers."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from perijove.cli.main import main
from perijove.domain.state import State
from tests.fakes.certificate_desk import Desk, Hall, open_office


@dataclass(frozen=True)
class Ran:
    """What a command left."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Its lines; ages that pass while a test runs are `N` there."""
        return [re.sub(r"\b\d+s\b", "Ns", line) for line in self.out.splitlines()]

    def cells(self) -> list[list[str]]:
        """The cells of a table."""
        return [re.split(r" {3,}", line) for line in self.lines]


@dataclass(frozen=True)
class Shell:
    """Runs commands on a state directory whose service answers."""

    state: State
    hall: Hall

    @property
    def desk(self) -> Desk:
        return self.hall.office.desk

    def __call__(self, *words: str) -> Ran:
        out, err, before = io.StringIO(), io.StringIO(), sys.argv
        sys.argv = ["perijove", *words, "--state", str(self.state.root)]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = _left()
        finally:
            sys.argv = before
        return Ran(status, out.getvalue(), err.getvalue())


def _left() -> int:
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0


@pytest.fixture
def perijove(state: State) -> Iterator[Shell]:
    with open_office(state) as hall:
        yield Shell(state, hall)
