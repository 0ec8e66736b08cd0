"""Who logs in, and what is kept of it: the words, and the ports of those who keep it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from perijove.domain.nouns import SessionName
from perijove.domain.parsing import bracketed

Named = TypeVar("Named")
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+=|-]{0,126}[A-Za-z0-9_=])?")
"""What a person and a group can be called: nothing that lists, addresses or terminals take for something else."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever has logged in."""

    name: str
    groups: frozenset[str] = frozenset()
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """A person who logged in with one browser, or whose program has a token."""

    id: str
    """A hash of the secret that shows it."""
    person: Person
    expires: float
    """Unix seconds."""
    proof: str = ""
    """What it rests on, as far as that can change: a digest of what is stored of the password."""
    program: str = ""
    """What the person has a token for; `` for a browser."""


def among(person: Person, who: Collection[str]) -> bool:
    """Whether one of these is the person's name, or `@` and a group of theirs."""
    return person.name in who or any(f"@{group}" in who for group in person.groups)


def strangely_named(who: Collection[str]) -> Collection[str]:
    """Those that are neither a person's name nor `@` and a group's."""
    return [one for one in who if not NAME.fullmatch(one.removeprefix("@"))]


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever launches."""

    client: str
    """Their address."""
    key: str = field(default="", repr=False)
    """A visitor's key; `` for none."""
    person: str = ""
    """The name of whoever has logged in; `` for nobody."""


ANY_USER = "oauth2"
"""A user name that GitHub, GitLab and Gitea take with any token."""


@dataclass(frozen=True, slots=True)
class HostToken:
    """What a person's own account at a Git host gave them, so that their private repositories can be read here."""

    host: str
    """As `host_of` makes it."""
    secret: str = field(repr=False)
    user: str = ANY_USER
    """The user name that goes with it."""
    since: float = 0
    """Unix seconds."""
    renewal: str = field(default="", repr=False)
    """What it is exchanged for another with; `` for one that was pasted."""
    expires: float = 0
    """Unix seconds; 0 where nothing tells."""


DEVICE_TOKEN = re.compile("[!-~]{8,4000}")
"""A token as a host gives it: what a line of git's credential protocol can carry."""


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a Git host gave so that a person can show it who they are (RFC 8628, 3.2)."""

    host: str
    code: str = field(repr=False)
    """What is exchanged for a token; the person never sees it."""
    shown: str
    """What the person types there."""
    there: str
    """Where."""
    interval: float
    """Seconds between two questions."""
    expires: float
    """Unix seconds."""


class Devices(Protocol):
    """Gets people's tokens from Git hosts that the operator named. Methods raise Fail: `start.device-unusable`."""

    @property
    def hosts(self) -> Collection[str]:
        """Of which; as `host_of` makes them."""

    async def begin(self, host: str) -> DeviceCode:
        """A code for a person."""

    async def ask(self, code: DeviceCode) -> HostToken | DeviceCode:
        """The token, once they have typed the code there; else when to ask next. Raises Fail: `start.device-ended`."""

    async def renewed(self, token: HostToken) -> HostToken:
        """Another in the place of one that ends, where it can be had; else the same. Raises nothing."""


def host_of(url: str) -> str:
    """The host that a token may be sent to, as `https://git.example.org:8443`; `` where none may.

    Nobody else may read it on its way: by http it is sent to this machine alone.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    host = (parts.hostname or "").lower()
    if not re.fullmatch(r"[a-z0-9.-]{1,253}|[0-9a-f:.]{2,45}", host):
        return ""
    if parts.scheme != "https" and not (parts.scheme == "http" and host in ("localhost", "127.0.0.1", "::1")):
        return ""
    shown = bracketed(host)
    return f"{parts.scheme}://{shown}" + (
        f":{port}" if port and port != {"https": 443, "http": 80}[parts.scheme] else ""
    )


def device_hosts(named: Mapping[str, Named]) -> Mapping[str, Named]:
    """What is named by a host as people write it, `github.com`, by what `host_of` makes of it."""
    return {host_of(name if "://" in name else f"https://{name}"): value for name, value in named.items()}


class HostTokens(Protocol):
    """What people have tokens for; outlives a restart. Methods raise Fail: `platform.disk-full` and the like."""

    def of(self, person: str) -> Collection[HostToken]:
        """All of a person's."""

    def find(self, person: str, host: str) -> HostToken | None:
        """Theirs for a host of `host_of`."""

    def keep(self, person: str, token: HostToken) -> None:
        """In the place of the one for the same host. Raises Fail: `start.bad-request` where there are too many."""

    def remove(self, person: str, host: str) -> None:
        """Nothing where there is none."""

    def sweep(self, gone: Callable[[str], bool]) -> None:
        """Remove those of people who are gone."""


@dataclass(frozen=True, slots=True)
class Home:
    """A person's own folder, which outlives their sessions."""

    path: Path
    told: str
    """What its person is told of it."""
    used: int = -1
    """Bytes on its disk; -1 where there are too many files to be counted."""


class Homes(Protocol):
    """Where people have homes."""

    async def ready(self, person: str) -> Home | None:
        """Theirs, made where it is missing; None where nobody has one. Never waits for a file system that hangs.

        Raises Fail: `home.silent`, `home.unusable`.
        """


class Passwords(Protocol):
    """Who may log in by a password. Methods raise Fail: `platform.people-unreadable`."""

    @property
    def anybody(self) -> bool:
        """Whether there is anybody: a list that is not there yet, or no more, tells of nobody that they have gone."""

    def person(self, name: str) -> Person | None:
        """Whoever has this name now."""

    def proof(self, name: str) -> str:
        """Changes with their password; `` for nobody."""

    async def right(self, name: str, password: str) -> bool:
        """Whether it is theirs; as slow for names that nobody has. Raises Fail: `start.login-crowd`."""


@dataclass(frozen=True, slots=True)
class Leave:
    """With what a browser is sent to a provider."""

    redirect_uri: str
    """Where it comes back to; the provider has to know it."""
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Back:
    """With what it comes back."""

    code: str
    issuer: str
    """Who says that it logged somebody in; `` where it does not say."""


class Provider(Protocol):
    """Logs people in elsewhere. Methods raise Fail: `start.provider-silent`, `start.provider-wrong`."""

    async def address(self, leave: Leave) -> str:
        """Where a browser is sent."""

    async def person(self, leave: Leave, back: Back) -> Person:
        """Who was logged in. Raises Fail: `start.login-refused`, `start.name-unusable`, `platform.bad-settings`."""


class Logins(Protocol):
    """Who is logged in; outlives a restart. Methods that change it raise Fail: `platform.disk-full` and the like."""

    def begin(self, person: Person, expires: float, proof: str, program: str = "") -> str:
        """A new one's secret, which is not kept."""

    def find(self, secret: str) -> Login | None:
        """The one that this secret shows, expired or not."""

    def end(self, login: Login) -> None:
        """It shows nothing any more."""

    def all(self) -> Collection[Login]:
        """All of them."""


class Grants(Protocol):
    """Which browsers may open which sessions, where the data plane looks at each request."""

    def give(self, session: SessionName, login: str) -> str:
        """What a browser of this log-in shows: the same each time. Raises Fail: `platform.disk-full` and the like."""

    def holds(self, session: SessionName, grant: str) -> bool:
        """Whether this opens it."""

    def withdraw(self, login: str) -> None:
        """No session is opened by this log-in any more."""

    def keep(self, sessions: Collection[SessionName]) -> None:
        """None is left of any other session."""
