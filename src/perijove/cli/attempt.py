"""Follow an attempt to get a certificate. In: its events as they happen. Out: lines, and whether it got one."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from perijove.cli import printing
from perijove.cli.client import Client
from perijove.cli.objects import address
from perijove.cli.printing import plain
from perijove.domain import wire
from perijove.domain.failures import BUG, Fail, Failure

COLOURS = {"Normal": "green", "Warning": "yellow"}


def follow(client: Client, order: str) -> bool:
    """Tell an attempt to its end. True where it is certified."""
    with Telling() as telling:
        for entry in client.lines(f"{address('orders', order)}/events", follow="1"):
            telling.tell(entry)
            if entry["event"]["is"] == "Certified":
                return True
            if entry["event"]["is"] == "Failed":
                return False
    raise Fail(BUG("the attempt's events ended without Certified or Failed"))


class Telling(printing.MovingLine):
    """Steps as lines with the seconds since the first; what is waited for in one line that moves, where one can."""

    def __init__(self) -> None:
        super().__init__()
        self._began = 0.0
        self._failure: Failure | None = None
        self._waiting = ""

    def tell(self, entry: dict[str, Any]) -> None:
        """Print one entry."""
        self._began = self._began or entry["at"]
        event, told = entry["event"], entry["told"]
        failure = wire.decode(Failure, event["failure"]) if event.get("failure") else None
        if event["is"] == "Waiting" and failure in (None, self._failure):
            self._wait(event["what"], told["message"])
            return
        since = f"{entry['at'] - self._began:6.1f} s  "
        words = Text.assemble((since, "dim"), (told["reason"], f"bold {COLOURS[told['type']]}"))
        if failure is None or failure == self._failure:
            printing.out.print(words + Text(f"  {plain(told['message'])}"))
        else:
            printing.out.print(words)
            printing.out.print(printing.failure(failure))
        self._failure = failure or self._failure

    def _wait(self, what: str, message: str) -> None:
        """What is waited for, once where no line can move."""
        if not self.moved(plain(message)) and what != self._waiting:
            printing.out.print(Text(f"        … {plain(message)}", "dim"))
        self._waiting = what
