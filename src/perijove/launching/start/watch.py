"""What was heard and seen of one session, from its start to its end. A value that the keeper of sessions changes."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from perijove.domain.activity import Trouble
from perijove.domain.events import SessionEnded
from perijove.domain.nouns import Session
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
    unheard: deque[str] = field(default_factory=deque)
    """Lines its launch has not told yet."""
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
