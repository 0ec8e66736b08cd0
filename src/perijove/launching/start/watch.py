"""What was heard and seen of one session, from its start to its end. A value that the keeper of sessions changes."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from perijove.domain.activity import Trouble
from perijove.domain.events import Logged, Phase, Queued, SessionEnded, SessionStarted
from perijove.domain.nouns import Session
from perijove.launching.start import judging
from perijove.launching.start.idling import Idling

KEPT_LINES = 30
KEPT_TROUBLES = 3


@dataclass(slots=True)
class Watch:
    """What we heard of one session."""

    session: Session
    start: str = ""
    """The repository's script that runs its server."""
    reached: bool = False
    """Whether that did run it."""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    unheard: deque[Logged | Queued | SessionStarted] = field(default_factory=deque)
    """What its launch has not told yet."""
    started: bool = False
    """Whether its start said so itself, before its process ran."""
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    heard: int = 0
    """How many lines there were; of them only the last are kept."""
    answered: bool = False
    held: bool = False
    """Nobody's yet: nothing of it is written down."""
    ready: bool = False
    """Nobody's, and answers."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    end: SessionEnded | None = None
    idling: Idling = field(default_factory=lambda: Idling(0))
    troubles: deque[Trouble] = field(default_factory=lambda: deque(maxlen=KEPT_TROUBLES))
    untold: bool = False
    """Whether the last of them waits to be told to its pages."""

    def say(self, line: str) -> None:
        """Take in a line of its log."""
        self.lines.append(line)
        self.reached |= line.endswith(judging.REACHED)
        self.heard += 1
        if not (self.answered or self.ready):  # held, it has nobody who would hear it
            self.unheard.append(Logged(Phase.LAUNCHING, line))
