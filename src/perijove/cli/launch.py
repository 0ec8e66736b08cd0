"""`perijove launch`: begin a launch and show it as it happens."""

from __future__ import annotations

import json
import time
import webbrowser
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from perijove.cli import printing
from perijove.cli.client import Client
from perijove.domain import events as e
from perijove.domain import wire
from perijove.domain.events import Event
from perijove.domain.failures import ALREADY_UP, BAD_LINK, BUG, Evidence, Fail
from perijove.domain.launch_options import LaunchOptions

STARTS_WITHIN = 300.0
"""Seconds that a service which another command started is given to answer: its first start installs much."""
LOOK = 0.2
LOG_SHOWN = 30
"""Lines of the log that are shown when a launch fails."""


def is_folder(link: str) -> bool:
    """Whether a link means a folder of this machine rather than a repository elsewhere."""
    named = link.startswith(("./", "../", "/", "~")) and not link.startswith("/v2/")
    return named or (bool(link) and Path(link).is_dir())  # of no name, as of an unset variable, Path makes `.`


def in_service(client: Client, start: Callable[[], bool], begin: Callable[[], bool]) -> bool:
    """Do `begin` by the service that answers or is just starting, else by `start`, which runs one. Raises Fail."""
    told = False
    deadline = time.monotonic() + STARTS_WITHIN
    while not client.is_up():
        try:
            return start()
        except Fail as error:
            if error.failure.kind is not ALREADY_UP or time.monotonic() > deadline:
                raise
            if not told:
                cause = error.failure.cause
                printing.err.print(f"Perijove is still starting ({cause}); waiting for it.", style="dim")
                told = True
        time.sleep(LOOK)
    return begin()


def asked(link: str) -> dict[str, str]:
    """A link as the service is asked for it. Raises Fail: `resolve.bad-link` and the like, before anything is begun."""
    if is_folder(link):
        folder = Path(link).expanduser().resolve()
        if not folder.is_dir():
            raise Fail(BAD_LINK("there is no such folder", Evidence("this machine", str(folder)[:300])))
        return {"folder": str(folder)}
    from perijove.launching.resolve.pasted import pasted  # noqa: PLC0415  imported late: other commands read no links

    pasted(link)
    return {"link": link}


def run(client: Client, asked_for: dict[str, str], options: LaunchOptions, *, as_json: bool, browser: bool) -> bool:
    """Launch what `asked` returned and tell its events; whether it got ready."""
    begun = client.call("POST", "/launches", asked_for | wire.encode(options))
    told = _Json() if as_json else _Terminal(begun["number"])
    with told:
        for entry in client.events(f"/launches/{begun['number']}/events", follow=True):
            event = wire.decode_event(entry["event"])
            if isinstance(event, e.Noted):
                begun["urlpath"] = event.urlpath or begun["urlpath"]
            url = _at_place(entry.pop("url"), begun["urlpath"]) if isinstance(event, e.Ready) else ""
            told.tell(entry, event, url)
            if isinstance(event, e.Ready):
                if browser:
                    webbrowser.open(url)
                return True
            if isinstance(event, (e.Prepared, e.Failed)):
                return isinstance(event, e.Prepared)
    raise Fail(BUG("the launch's events ended without Ready, Prepared or Failed"))


class _Json(AbstractContextManager["_Json"]):
    """One event a line, for programs."""

    def tell(self, entry: dict[str, Any], event: Event, url: str) -> None:
        line = entry | ({"url": url} if url else {})
        printing.out.print(json.dumps(line, ensure_ascii=not printing.writes_all()), markup=False, soft_wrap=True)

    def __exit__(self, *_: object) -> None:
        return None


class _Terminal(printing.MovingLine):
    """Steps as lines; the log in one line that moves, or whole where nothing can move."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self._log: deque[str] = deque(maxlen=LOG_SHOWN)

    def tell(self, entry: dict[str, Any], event: Event, url: str) -> None:
        if isinstance(event, e.Logged) and self.moved(event.line):
            self._log.append(event.line)
            return
        if isinstance(event, e.Failed) and self.status:
            for line in self._log:
                printing.out.print(Text(f"    {line}", "dim"))
        printing.out.print(_line(event, url, self._number))


def _at_place(url: str, urlpath: str) -> str:
    """The session's link, opened at the place that the launch's link named."""
    base, _, token = url.partition("?")
    return f"{base}{urlpath}{'&' if '?' in urlpath else '?'}{token}"


def _line(event: Event, url: str, number: int) -> RenderableType:  # noqa: C901  one case an event
    """One event, for people."""
    done = ("✓ ", "green")
    match event:
        case e.Requested(address):
            return Text.assemble(
                ("Launch ", "bold"),
                (str(number), "bold"),
                f"  {address.url} {f'at {address.ref}' if address.ref else 'as it stands'}",
            )
        case e.Resolved(repo):
            return Text.assemble(done, "commit ", repo.commit[:10])
        case e.Fetched():
            return Text.assemble(done, "files fetched")
        case e.Logged(_, line) | e.Noted(line):
            return Text(f"    {line}", "dim")
        case e.BuildStarted(_, shared):
            return Text("… joining a build under way" if shared else "… building the environment")
        case e.Built(key, found, seconds):
            words = "found" if found else f"built in {seconds:.1f} s"
            return Text.assemble(done, f"environment {key[:10]} {words}")
        case e.Queued(position, why, about=about):
            return Text(f"… waiting for room, number {position} in the queue{about}: {why}", "yellow")
        case e.SessionStarted(session):
            return Text.assemble(done, f"sandbox of {session} started")
        case e.Retrying(failure, delay):
            return Text(f"… {failure.message} Trying again in {delay:.0f} s.", "yellow")
        case e.Ready():
            return Text.assemble(done, ("ready: ", "bold"), (url, f"link {url} underline"))
        case e.Prepared():
            return Text.assemble(done, ("built", "bold"), ": the next launch finds it")
        case e.Failed(failure):
            return printing.failure(failure)
    return Text("")
