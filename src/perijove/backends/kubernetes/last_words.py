"""Which of a server's last words were told while it started? In: what was told. Out: what of its end is new. Pure.

A pod's end has of its log so much at most (`terminationMessagePolicy: FallbackToLogsOnError`; kubelet's
`MaxContainerTerminationMessageLogLength` and `-LogLines`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from perijove.domain.nouns import SessionName

LETTERS, LINES = 2048, 80


class LastWords:
    """Of each session that is not over, as much as its end may repeat."""

    def __init__(self) -> None:
        self._told: dict[SessionName, deque[str]] = {}

    def begin(self, session: SessionName) -> None:
        """Its log is told from the beginning."""
        self._told[session] = deque(maxlen=LINES)

    def told(self, session: SessionName, line: str) -> str:
        """The line, which is told now."""
        if (last := self._told.get(session)) is not None:  # else it is over
            last.append(line)
            while sum(map(len, last)) - len(last[0]) >= LETTERS:
                last.popleft()
        return line

    def untold(self, session: SessionName, lines: Sequence[str]) -> tuple[str, ...]:
        """It is over: of its last lines, the first of which may be cut, those that were not told."""
        told = [*self._told.pop(session, ())]
        for count in range(min(len(lines), len(told)), 0, -1):
            last = told[-count:]
            if last[0].endswith(lines[0]) and last[1:] == [*lines[1:count]]:
                return tuple(lines[count:])
        return tuple(lines)
