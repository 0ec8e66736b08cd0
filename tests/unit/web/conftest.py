"""The public application over a service in memory, and a client that stands where Caddy does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from perijove.backends.device_flow import DeviceFlow
from perijove.backends.grants import GrantFolder
from perijove.backends.host_tokens import HostTokenFolder
from perijove.backends.logins import LoginFolder
from perijove.backends.oidc import OidcProvider
from perijove.backends.passwords import PasswordFile
from perijove.web.front import public_app
from perijove.web.guard import CertificateStanding
from perijove.web.identity import People
from perijove.web.operator_desk import Desk, Examined
from perijove.web.operator_doors import OperatorDoors
from perijove.web.public import Public
from perijove.web.service_admin import ServiceAdmin
from tests.ways.conftest import World

STREAMS = {"Accept": "text/event-stream"}
PAGES = {"Accept": "text/html"}


@dataclass(frozen=True)
class Frame:
    """One server-sent event."""

    id: str
    data: dict[str, Any]


def frames(text: str) -> list[Frame]:
    """The events of a stream."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if "data" in fields:
            found.append(Frame(fields.get("id", ""), json.loads(fields["data"])))
    return found


@dataclass
class FakeDoctor:
    """Notes what it is asked."""

    last: Examined | None = None
    busy: bool = False
    asked: list[str] = field(default_factory=list)
    """What was agreed to each time."""

    def begin(self, agreed: str = "") -> None:
        self.asked.append(agreed)


def desk_of(w: World) -> Desk:
    """What an operator's page shows of a world."""
    doors = OperatorDoors(w.keys, w.clock)
    service = ServiceAdmin(
        w.launches, w.sessions, w.sandboxes, w.clock, lambda: w.settings, lambda: "https://hub.test/", doors
    )
    return Desk(service, w.environments, list, FakeDoctor())


@dataclass
class Web:
    """A service whose pages can be asked for."""

    world: World
    answers: dict[str, str] = field(default_factory=dict)
    standings: dict[str, CertificateStanding] = field(default_factory=dict)
    held: float = 0.0
    """Most tests read streams to their end."""
    public: Public = field(init=False)
    client: httpx.AsyncClient = field(init=False)

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Web]:
        self.world.set(service__hosts=("hub.test",))
        async with self.world.up() as w:
            self.public = Public(
                w.launches,
                w.links,
                w.sessions,
                w.sandboxes,
                w.journal,
                w.keys,
                w.clock,
                lambda: w.settings,
                w.keeping,
                desk_of(w),
                self.answers.get,
                self.standings.get,
                self.held,
                lambda urlpath: f"/-/scripts/{urlpath.partition('/')[0] or 'lab'}.js",
                timetable=w.timetable,
                pushed=w.preparations.pushed,
                people=People(
                    PasswordFile(lambda: w.folder / "people"),
                    OidcProvider(lambda: w.settings.auth, w.clock),
                    LoginFolder(w.folder / "logins"),
                    GrantFolder(w.folder / "grants", w.keys),
                    HostTokenFolder(w.folder / "host-tokens", w.keys),
                    DeviceFlow(lambda: w.settings.auth, w.clock),
                ),
            )
            transport = httpx.ASGITransport(public_app(self.public))
            headers = {"X-Forwarded-For": "203.0.113.9, 192.0.2.7", "X-Forwarded-Proto": "https"}
            async with httpx.AsyncClient(
                transport=transport, base_url="https://hub.test", headers=headers
            ) as self.client:
                yield self

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def build(self, path: str = "gh/owner/repo/HEAD", **headers: str) -> list[Frame]:
        """Everything that `/build` tells."""
        answer = await self.get(f"/build/{path}", **{"Accept": "text/event-stream", **headers})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return frames(answer.text)


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with Web(World(tmp_path)).up() as web:
        yield web
