"""What happened to sessions and who has heard it: ends and troubles are not lost while no client listens.

In: events; out: numbered messages to every connected client. Ends and troubles are kept, bounded, until told.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import count

from perijove.backends.pad.wire import Message
from perijove.domain.events import SessionEvent, SessionLogged

KEPT = 2000
"""Untold events that are kept; beyond them the oldest are given up."""

Send = Callable[[Message], None]


class Backlog:
    """Events on their way to clients."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._unheard: OrderedDict[int, Message] = OrderedDict()
        self._clients: set[Send] = set()

    @property
    def listened_to(self) -> bool:
        return bool(self._clients)

    def tell(self, event: SessionEvent) -> None:
        number = next(self._numbers)
        message = {"number": number, "event": event}
        if not isinstance(event, SessionLogged):
            self._unheard[number] = message
            while len(self._unheard) > KEPT:
                self._unheard.popitem(last=False)
        for send in list(self._clients):
            send(message)

    def join(self, send: Send) -> None:
        """A client listens from now on; it gets what nobody has heard at once."""
        for message in self._unheard.values():
            send(message)
        self._clients.add(send)

    def leave(self, send: Send) -> None:
        self._clients.discard(send)

    def ring(self) -> None:
        """Kept work waits to be fetched: have every client ask for it."""
        for send in list(self._clients):
            send({"kept": True})

    def heard(self, number: int) -> None:
        self._unheard.pop(number, None)
