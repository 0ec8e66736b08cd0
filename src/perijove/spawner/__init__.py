"""JupyterHub starts sessions by repository: `PerijoveSpawner`, of the group `jupyterhub.spawners`.

Log-in, users' page, sharing and API are the hub's; environments and sandboxes a running service's of the same machine,
which is asked at its admin socket (`service`). Before each session stands a `gate`, which asks the hub who may in.
JupyterHub is no dependency: whoever imports this has it.
"""

from __future__ import annotations

import asyncio
import html
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from jupyterhub.spawner import LocalProcessSpawner
from tornado.web import HTTPError
from traitlets import Bool, Dict, Unicode, default

from perijove.domain import events as e
from perijove.domain.failures import BAD_LINK, BUG, NO_SUCH_OBJECT, NOT_ALLOWED, Fail, Failure, Owner
from perijove.domain.state import State
from perijove.spawner.service import Service

KEPT = 2000
"""Events of one start that are told to whoever looks later."""
GATE = Path(__file__).with_name("gate.py")
SHOWN = 'class="form-control" autocomplete="off"'
"""As the rest of the hub's pages."""


class PerijoveSpawner(LocalProcessSpawner):  # type: ignore[misc]
    """A session for each server; the process that is started is its gate."""

    state_directory = Unicode(
        "/var/lib/perijove", help="State directory of the service; the hub runs as root or as the service's user."
    ).tag(config=True)
    repository = Unicode(
        "", help="What is launched where nothing else is asked for: a link, or the path of a folder of this machine."
    ).tag(config=True)
    repositories = Dict(
        help="What users choose from: links or folders by the names that they are shown."
    ).tag(config=True)  # fmt: skip
    any_repository = Bool(True, help="Whether users may name others, and refs.").tag(config=True)

    launch = 0
    """The number of its launch; 0: none yet. Likewise the next."""
    session = ""

    @default("start_timeout")
    def _start_timeout(self) -> int:
        return 3600  # seconds: an environment may be built first, within the service's own limits

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._service = Service(State(Path(self.state_directory)))
        self._for_gate: dict[str, str] = {}
        self._told: list[dict[str, Any]] = []
        self._news = asyncio.Event()

    # what is asked for

    @default("options_form")
    def _options_form(self) -> str:
        if not (self.any_repository or self.repositories):
            return ""
        names = "".join(f"<option>{html.escape(name)}</option>" for name in self.repositories)
        if not self.any_repository:
            return field(
                "repository", "Repository", f'<select id="repository" name="repository" {SHOWN}>{names}</select>'
            )
        usual = html.escape(self.repository)
        link = f'<input id="repository" name="repository" list="repositories" placeholder="{usual}" {SHOWN}>'
        return field(
            "repository", "Link to a repository", f'{link}<datalist id="repositories">{names}</datalist>'
        ) + field("ref", "Branch, tag or commit, if not the default branch", f'<input id="ref" name="ref" {SHOWN}>')

    @default("options_from_form")
    def _options_from_form(self) -> Any:
        return lambda form: {name: values[0].strip() for name, values in form.items() if name in {"repository", "ref"}}

    @default("apply_user_options")
    def _apply_user_options(self) -> Any:
        return lambda spawner, options: None  # `start` reads them; the hub would say of each that nobody does

    def _asked(self) -> dict[str, str]:
        """What the service is asked for. Raises Fail: `resolve.bad-link`, `start.not-allowed`."""
        wanted, ref = (str(self.user_options.get(name) or "") for name in ("repository", "ref"))
        own = self.repositories.get(wanted, "" if wanted else self.repository)
        if not (own or wanted):
            raise Fail(BAD_LINK("no repository is named"))
        if not self.any_repository and (ref or not own):
            raise Fail(NOT_ALLOWED("this hub launches what its operator names alone"))
        if Path(own).is_absolute() and not own.startswith("/v2/"):
            return {"folder": own}
        return {"link": own or wanted, "ref": ref}

    # start, stop, look

    async def start(self) -> tuple[str, int]:
        """Raises HTTPError with the failure's words, which the hub shows."""
        self._told.clear()
        try:
            opens = await self._launched()
        except Fail as fail:
            raise refused(fail.failure) from fail
        state = State(Path(self.state_directory))
        self._for_gate["PERIJOVE_SESSION_SOCKET"] = str(state.session_sockets / f"{self.session}.sock")
        self._for_gate["PERIJOVE_TOOLS"] = str(state.tools)
        self._for_gate["PERIJOVE_OPENS"] = opens or self.default_url.lstrip("/")
        self.cmd, self.args = [sys.executable, "-I", str(GATE)], list[str]()
        there = state.run.stat()
        if os.geteuid() == 0 != there.st_uid:
            self.popen_kwargs = {"user": there.st_uid, "group": there.st_gid, "extra_groups": [], "cwd": "/"}
        address: tuple[str, int] = await super().start()
        return address

    async def _launched(self) -> str:
        """Launch it and wait for its session; what that opens. Raises Fail: as the launch, `platform.not-up`."""
        about = {"served_at": self.server.base_url, "client": f"hub/{self.user.escaped_name}"}
        begun = await self._service.call("POST", "/launches", self._asked() | about)
        self.launch, opens = begun["number"], str(begun["urlpath"])
        async with aclosing(self._service.events(self.launch)) as events:
            async for event, token in events:
                self._tell(event)
                if isinstance(event, e.Noted):
                    opens = event.urlpath or opens
                elif isinstance(event, e.Failed):
                    raise Fail(event.failure)
                elif isinstance(event, e.Ready):
                    self.session, self._for_gate = event.session, {"PERIJOVE_SESSION_TOKEN": token}
                    return opens
        raise Fail(BUG("the launch's events ended without Ready or Failed"))

    async def stop(self, now: bool = False) -> None:
        """Raises Fail: `platform.not-up`; the hub tries again."""
        await self._end()
        await super().stop(now)

    async def poll(self) -> int | None:
        """None while both session and gate are there; what is left of either is ended."""
        launch, session = self.launch, self.session
        status: int | None = await super().poll()  # forgets all where the gate has ended
        self.launch, self.session = launch, session
        if status is None and await self._runs():
            return None
        if status is None:
            await self._signal(signal.SIGTERM)
            self.proc = None  # forgotten, as its number below
        try:
            await self._end()
        except Fail as fail:
            self.log.warning("Session %s is left to its service: %s", session, fail)
        self.clear_state()
        return status or 0

    async def _runs(self) -> bool:
        """Whether the session does; where nobody answers that it does not, it does: sessions outlive the service."""
        try:
            row = await self._service.call("GET", f"/sessions/{self.session}")
        except Fail as fail:
            return fail.failure.kind is not NO_SUCH_OBJECT
        return bool(row["state"] == "running")

    async def _end(self) -> None:
        """Give up its launch, end its session. Raises Fail: `platform.not-up`, `platform.pad-down`."""
        try:
            if self.launch and not self.session:
                row = await self._service.call("DELETE", f"/launches/{self.launch}")
                self.session = row["session"] if row["state"] == "ready" else ""
            if self.session:
                await self._service.call("DELETE", f"/sessions/{self.session}")
        except Fail as fail:
            if fail.failure.kind is not NO_SUCH_OBJECT:
                raise

    # what the hub keeps

    def get_state(self) -> dict[str, Any]:
        state: dict[str, Any] = super().get_state()
        return state | {"launch": self.launch, "session": self.session} if self.launch else state

    def load_state(self, state: Mapping[str, Any]) -> None:
        super().load_state(state)
        self.launch, self.session = state.get("launch", 0), state.get("session", "")

    def clear_state(self) -> None:
        super().clear_state()
        self.launch, self.session = 0, ""

    # the gate's process

    def make_preexec_fn(self, name: str) -> None:
        """No user of the machine's has the hub's user's name."""

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        return env

    def get_env(self) -> dict[str, str]:
        env: dict[str, str] = super().get_env()
        return env | self._for_gate

    # telling

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """The launch's log and stages, from its beginning; the hub ends it with the start."""
        shown = 0
        while True:
            news = self._news
            while shown < len(self._told):
                yield self._told[shown]
                shown += 1
            await news.wait()

    def _tell(self, event: e.LaunchEvent) -> None:
        if (told := progress_of(event)) and len(self._told) < KEPT:
            self._told.append(told)
        self._news.set()
        self._news = asyncio.Event()


def field(name: str, label: str, shown: str) -> str:
    """A line of the hub's form, in HTML."""
    return f'<div class="form-group mb-3"><label for="{name}">{label}</label>{shown}</div>'


def progress_of(event: e.LaunchEvent) -> dict[str, Any]:
    """An event as the hub's page shows it; {} where it shows nothing."""
    match event:
        case e.Resolved(repo):
            return {"progress": 10, "message": f"Commit {repo.commit[:10]} of {repo.address.url}"}
        case e.Fetched():
            return {"progress": 20, "message": "Files fetched"}
        case e.Logged(_, line) | e.Noted(line):
            return {"message": line}
        case e.BuildStarted():
            return {"progress": 30, "message": "Building the environment"}
        case e.Built():
            return {"progress": 70, "message": "The environment stands"}
        case e.Queued(position, why, about=about):
            return {"message": f"Waiting for room, number {position} in the queue{about}: {why}"}
        case e.SessionStarted():
            return {"progress": 80, "message": "Starting the server"}
        case e.Retrying(failure, delay):
            return {"message": f"{failure.message} Trying again in {delay:.0f} s."}
        case e.Ready():
            return {"progress": 95, "message": "The server answers"}
    return {}


def refused(failure: Failure) -> HTTPError:
    """As hubs show why a server does not start: code, cause and remedy, and on pages what was seen where."""
    theirs = failure.kind.owner in (Owner.VISITOR, Owner.AUTHOR)
    error: Any = HTTPError(422 if theirs else 503, "%s", failure.message)
    error.jupyterhub_message = f"{failure.message} ({failure.kind.code})"
    seen = "".join(f"<pre>{html.escape(one.where)}\n{html.escape(one.saw)}</pre>" for one in failure.evidence)
    error.jupyterhub_html_message = f"<p>{html.escape(error.jupyterhub_message)}</p>{seen}"
    told: HTTPError = error
    return told
