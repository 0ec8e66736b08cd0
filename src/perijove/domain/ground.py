"""A service of ours and the machine beneath it, as they were looked at once: the doctor's facts. Pure.

What nobody could look at is `Unseen`, and says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perijove.domain.certificates import HostName, SeenCertificate
from perijove.domain.failures import Failure
from perijove.domain.isolation import Isolation
from perijove.domain.nouns import Room
from perijove.domain.settings import Settings


@dataclass(frozen=True, slots=True)
class Unseen:
    """What could not be looked at."""

    why: str


@dataclass(frozen=True, slots=True)
class Program:
    """A program that the service runs."""

    name: str
    path: str
    version: str
    """Its first line of `--version`; `` where it says none."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens at a port of ours."""

    address: str
    holder: str
    """`caddy (process 12)`; `` where this user may not see it."""


PACKAGE_INDEX = "the package index"
"""What is fetched from one host that launches need."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A host that launches need, and whether this machine gets there."""

    address: str
    """`pypi.org:443`"""
    what: str
    """What is fetched there."""
    proxy: str = ""
    """By which proxy; `` for straight."""
    words: str = ""
    """Why not; `` where it is reached."""
    unresolved: bool = False
    """Whether its name, or the proxy's, has no address."""
    no_resolver: bool = False
    """Whether that is for want of an answer, and not for want of such a name."""


@dataclass(frozen=True, slots=True)
class FreeThen:
    """How much of the disk was free at some time."""

    at: float
    """Unix seconds."""
    disk: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What cannot be read."""

    where: str
    """`events, seq 17 (launch/3)` of the journal, or a file."""
    saw: str


@dataclass(frozen=True, slots=True)
class Ground:
    """The machine."""

    root: Path
    """The state directory."""
    room: Room
    switches: tuple[tuple[str, str], ...]
    """Kernel settings that sandboxes depend on, with their values; `` where this kernel has none such."""
    cgroups: str
    """`v2`, `v1`, or `` where there are none."""
    programs: tuple[Program, ...]
    missing: tuple[Failure, ...]
    """Programs that are not there or too old."""
    sandbox: Failure | Unseen | None
    """Why a sandbox could not be made; None where one was."""
    state: Failure | None
    """Why the state directory cannot be used."""
    too_open: tuple[tuple[Path, int], ...]
    """Files of secrets that others than their owner may read, with their modes."""
    base: Failure | Unseen | None = Unseen("nobody looked for it")
    """Why the base is not there and cannot be made."""
    garbage: tuple[Damage, ...] = ()
    """What stands among the environments and is none."""
    past: tuple[FreeThen, ...] = ()
    """What was free before, the oldest first; as far back as the service kept it."""
    homes: Failure | Unseen | None = Unseen("nobody has a home here")
    """Why people's homes cannot be used."""
    memory: int = 0
    """All that the machine has, bytes; 0 where nobody looked."""
    reached: tuple[Reached, ...] | Unseen = Unseen("nobody tried")
    """Hosts that launches need."""
    resolvers: tuple[str, ...] = ()
    """The name servers that this machine asks."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal's file."""

    path: Path
    entries: int
    damage: tuple[Damage, ...]
    more: int = 0
    """How many more there are like these."""
    newest: float = 0
    """When the last entry was written, Unix seconds; 0 where there is none."""
    repositories: tuple[str, ...] = ()
    """Addresses of repositories that were found by their hosts of late, one a host."""
    held: int = 0
    """The process that keeps everybody else from writing; 0 for none."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the service's."""

    pid: int
    """0: none."""
    doing: str = ""
    """`sleeping`, `stopped`, as the kernel has it; `` for what this user may not see."""

    @property
    def stopped(self) -> bool:
        """Whether somebody stopped it: no signal but SIGKILL ends it until it goes on."""
        return self.doing.startswith("stopped")


@dataclass(frozen=True, slots=True)
class Service:
    """The service's processes."""

    holder: Process
    """Who holds the state directory's lock."""
    admin: Failure | None
    """Why the operator's socket does not answer; None where it does."""
    control: Failure | Unseen | None
    """The same of the socket behind Caddy."""
    same_secret: bool | Unseen
    """Whether what it answers is marked by the secret that lies on disk."""
    data_plane: Failure | Unseen | None
    """Why Caddy does not serve."""
    caddy: int
    """Its process; 0: none."""
    ports: Failure | Unseen | None
    """Why the service's addresses could not be listened on."""
    listeners: tuple[Listener, ...]
    isolation: Isolation | Unseen = Unseen("the service does not answer")
    """What its pad has for limits."""
    held_for: float = 0
    """Seconds since that process began."""
    opening: bool = False
    """Whether it tells visitors that it still starts."""
    pad: Failure | Unseen | None = Unseen("the service does not answer")
    """Why whoever holds the sandboxes does not answer the service."""
    pad_process: Process = Process(0)
    unlike: tuple[str, ...] = ()
    """Settings of the file that was named which the running service does not have."""
    login: Failure | Unseen | None = Unseen("nobody logs in here")
    """Why people cannot log in."""


@dataclass(frozen=True, slots=True)
class CertificateState:
    """What the running service says of one host's certificate, and what its next order would meet."""

    host: HostName
    fingerprint: str
    """SHA-256 of the one that it serves; `` where it has none."""
    not_after: float
    """Unix seconds."""
    failure: Failure | None
    """What the last attempt failed by."""
    next_attempt: float
    proof: bool
    """Whether a CA wants to see, at the host itself, that the name is ours."""
    today: Failure | None
    """What its look would meet now."""
    inside: bool
    """Whether that was seen from this machine only."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What one port shows for a name."""

    address: str
    """`192.0.2.1:443`"""
    ours: bool
    """Whether it is the service's own listener; else the name leads there."""
    certificate: SeenCertificate | None
    words: str
    """Why there is none."""


@dataclass(frozen=True, slots=True)
class CertificateSeen:
    """One host's certificate, as it should be and as it is shown."""

    state: CertificateState
    shown: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Launched:
    """A launch of a tiny repository, from its link to a kernel."""

    number: int
    seconds: float
    failure: Failure | None
    """What it ended with."""


@dataclass(frozen=True, slots=True)
class Own:
    """Everything that was looked at."""

    now: float
    settings: Settings
    ground: Ground
    service: Service
    journal: Journal | Unseen
    certificates: tuple[CertificateSeen, ...] | Unseen = Unseen("nobody asked for them")
    launch: Launched | Unseen = Unseen("nobody asked for one")
