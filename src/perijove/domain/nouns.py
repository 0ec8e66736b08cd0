"""The things a launch passes from hand to hand, each a frozen value. Pure.

`RepoAddress → ResolvedRepo → Checkout → EnvironmentPlan → Environment → SandboxSpec → Session`.
What is not yet known is another type, never a None.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class RepoAddress:
    """Which repository, and which of its refs, as a person asked for it."""

    provider: str
    """The row of the provider table: `gh`, `gl`, `gist`, `git` or `local`."""
    spec: str
    """The provider's part of a launch link, percent-encoded, ending in the ref: `owner/repo/HEAD`."""
    url: str
    """What git fetches from; for `local`, the folder's absolute path."""
    ref: str
    """Branch, tag, full or short commit, or `HEAD`; not resolved."""
    name: str
    """A short name for people and session names: `repo`."""

    @property
    def path(self) -> str:
        """The link's path below the service: `v2/gh/owner/repo/HEAD`."""
        return f"v2/{self.provider}/{self.spec}"


@dataclass(frozen=True, slots=True)
class ResolvedRepo:
    """A repository at one commit."""

    address: RepoAddress
    commit: str
    """40 or 64 hex digits; for `local`, the hash of the folder's content."""
    ref_name: str
    """The full name the ref had (`refs/heads/main`), or `` when a commit was asked for."""
    private: bool = False
    """Whether credentials may open it, the operator's (`repositories.private`) or a person's: it is nobody's but who
    holds a key."""
    person: str = ""
    """Whose own token for its host opens it; `` where that is not needed."""

    @property
    def persistent_spec(self) -> str:
        """The spec with the commit in the ref's place, for a link that always means the same."""
        ref = quoted_ref(self.address.ref)
        return self.address.spec.removesuffix(ref) + self.commit if ref else self.commit


@dataclass(frozen=True, slots=True)
class RefNames:
    """Short names of what a repository has, a bounded number of them."""

    branches: tuple[str, ...]
    """The default one first."""
    tags: tuple[str, ...]


def quoted_ref(ref: str) -> str:
    """A ref as it stands at the end of a spec: percent-encoded, its slashes kept."""
    return quote(ref, safe="/@+=,!$&'();~")


def ref_url(repo: ResolvedRepo) -> str:
    """The web page of the commit, where its host is known to have one; else the repository's address."""
    url = repo.address.url.removesuffix(".git")
    match repo.address.provider:
        case "gh":
            return f"{url}/tree/{repo.commit}"
        case "gl":
            return f"{url}/-/tree/{repo.commit}"
        case "gist":
            return f"{url}/{repo.commit}"
        case _:
            return repo.address.url


@dataclass(frozen=True, slots=True)
class Checkout:
    """The files of one commit on this machine; nobody writes into it once it stands."""

    repo: ResolvedRepo
    path: Path
    """Its time is the commit's, but for a local folder's."""


class PythonSource(StrEnum):
    """Where the wish for a Python version was found."""

    DEFAULT = "default"
    RUNTIME_TXT = "runtime.txt"
    PYTHON_VERSION = ".python-version"
    REQUIRES_PYTHON = "requires-python"


@dataclass(frozen=True, slots=True)
class PythonRequest:
    """The version a repository wants: a PEP 440 specifier (`==3.12.*`, `>=3.10`, `` for any), and who said so."""

    specifier: str
    source: PythonSource


@dataclass(frozen=True, slots=True)
class InstallRequirements:
    """Install a requirements file. `path` is relative to the repository; `text` is what it says."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class InstallProject:
    """Install the repository itself, as `pip install .` does. `path` is relative to the repository."""

    path: str


@dataclass(frozen=True, slots=True)
class FollowLock:
    """Install what a lock file holds: pylock.toml, uv.lock or poetry.lock. `path` is relative to the repository."""

    path: str


@dataclass(frozen=True, slots=True)
class InstallConda:
    """Install conda packages, before anything else. `path` is relative to the repository."""

    path: str
    channels: tuple[str, ...]
    """As they are written: names and addresses, the first preferred."""
    specs: tuple[str, ...]
    """As they are written."""
    variables: tuple[tuple[str, str], ...] = ()
    """Set where the environment is active."""


@dataclass(frozen=True, slots=True)
class InstallSystem:
    """Install packages of the distribution, beneath everything else. `path` is relative to the repository."""

    path: str
    names: tuple[str, ...]
    """In their file's order, each once."""


Step = InstallRequirements | InstallProject | FollowLock | InstallConda | InstallSystem


@dataclass(frozen=True, slots=True)
class EnvironmentPlan:
    """What has to be done, in this order, to make a repository's environment."""

    python: PythonRequest
    steps: tuple[Step, ...]
    post_build: str = ""
    """The repository's script that is run in the environment once it stands, by its path; `` for none."""
    start: str = ""
    """The script that starts the server, likewise."""


EnvironmentKey = str
"""A hash of all that an environment was resolved to, 32 hex digits: its name and its cache key."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path shown read-only in a sandbox at `target`."""

    source: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Overlay:
    """Folders that a sandbox is shown as one, at `target`, and may write to: nobody else sees what it writes."""

    layers: tuple[Path, ...]
    """The lowest first."""
    target: Path


@dataclass(frozen=True, slots=True)
class Environment:
    """A built environment, ready to be served from."""

    key: EnvironmentKey
    path: Path
    python: str
    """Version of its interpreter: `3.12.1`."""
    command: tuple[str, ...]
    """Starts its Jupyter server; server options are appended. Paths as seen in the sandbox."""
    environ: tuple[tuple[str, str], ...]
    """Variables its server and kernels need (`PATH`, `JUPYTER_PATH`, …). Paths as seen in the sandbox."""
    mounts: tuple[Mount, ...]
    """Everything the sandbox must show for it beside `overlays`: interpreter, server environment, launcher."""
    server: tuple[Mount, ...] = ()
    """Of them, what its server runs on where that is Perijove's own, and can be forked from one that saw no more."""
    overlays: tuple[Overlay, ...] = ()
    """The environment itself, at `path`, and what its postBuild made of it."""
    home: Path | None = None
    """What its postBuild made of the repository: what a session gets as its home."""
    start: str = ""
    """The repository's script that `command` begins with, by its path."""
    root: tuple[Path, ...] = ()
    """What it stands on: folders that are a whole system, laid over one another, the lowest first; none: the host's."""


@dataclass(frozen=True, slots=True)
class StoredEnvironment:
    """An environment as the store lists it."""

    key: EnvironmentKey
    python: str
    made_from: str
    """What it was built for, in words: `gh/owner/repo/HEAD at 1a2b3c4`."""
    size: int
    """Bytes that removing it would free (hardlinked files count for nobody)."""
    created_at: float
    used_at: float
    """Unix seconds."""
    base: EnvironmentKey = ""
    """The environment that it is a layer over."""
    packages: tuple[str, ...] = ()
    """What it was resolved to, each with its version: `six==1.17.0`, `numpy-1.26.4-py311h64a7726_0` of conda."""


class Egress(StrEnum):
    """What a sandbox may reach."""

    NONE = "none"
    PUBLIC = "public"
    """Web ports of public addresses, through the egress proxy."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sandbox may use."""

    memory: int
    """Bytes."""
    cpus: float
    processes: int
    disk: int
    """Bytes in its home."""
    tmp: int
    """Bytes in `/tmp` and `/dev/shm`, each."""


PERSON_HOME = "home"
"""The folder of a session's home in which its person's own is shown."""

SessionName = str
"""`[a-z0-9-]{1,40}`, as it stands in `/user/<name>/`."""


def session_path(base: str, name: SessionName) -> str:
    """A session's path below `service.base`, with both slashes."""
    return f"{base}user/{name}/"


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """One session's sandbox, in full: nothing is left to whoever runs it."""

    session: SessionName
    command: tuple[str, ...]
    """argv inside. The session's listening socket is file descriptor `$PERIJOVE_SOCKET_FD`."""
    environ: tuple[tuple[str, str], ...]
    """The whole environment inside; may hold secrets, so it never stands on a command line."""
    mounts: tuple[Mount, ...]
    home_from: Path | None
    """The checkout that is copied as the session's home, `/home/jovyan`; None: it is empty at first."""
    limits: Limits
    egress: Egress
    egress_allowed: tuple[str, ...] = ()
    """`host:port` or `address/prefix:port` the operator opens beside the rule of `egress`."""
    overlays: tuple[Overlay, ...] = ()
    """Count in its disk."""
    root: tuple[Path, ...] = ()
    server: tuple[Mount, ...] = ()
    """Both as in `Environment`; with `server` the command is an interpreter, an option, a program and its words."""
    person_home: Path | None = None
    """A person's own folder, shown as `PERSON_HOME` in the session's."""


@dataclass(frozen=True, slots=True)
class ForeignRun:
    """A command that runs a repository's own code at build time, in the same sandbox as a session's."""

    name: str
    """Unique; `[a-z0-9-]{1,40}`."""
    command: tuple[str, ...]
    environ: tuple[tuple[str, str], ...]
    mounts: tuple[Mount, ...]
    home_from: Path | None
    """Copied as the run's home, or None for an empty home."""
    result: str
    """A folder's name below the home; its regular files are handed back afterwards (never links, never devices)."""
    limits: Limits
    egress: Egress
    egress_allowed: tuple[str, ...]
    timeout: float
    """Seconds."""
    overlays: tuple[Overlay, ...] = ()
    layers: bool = False
    """Hand back, in the place of `result`, all that it wrote: its `home`, and of each overlay `layer-N`, to be laid
    over those it stood on, or `whole-N`, which stands for them all."""
    root: tuple[Path, ...] = ()
    """Its system, as `Environment.root`."""
    system: bool = False
    """It may write to its root, whose only user it is: user 0, whatever it makes anybody else's stays its own. With
    `layers`, what it wrote there is handed back as `root`."""


@dataclass(frozen=True, slots=True)
class Session:
    """A Jupyter server that people can reach; its token is `Keys.session_token(name)`."""

    name: SessionName
    launch: int
    """The number of the launch that made it."""
    repo: ResolvedRepo
    environment: EnvironmentKey
    started_at: float
    """Unix seconds."""
    base: str = "/"
    """`service.base` as it was then; its server answers below that."""
    served_at: str = ""
    """Where else it answers, with both slashes: a program of this machine leads there. `` for most."""

    @property
    def path(self) -> str:
        """Below which its server answers."""
        return self.served_at or session_path(self.base, self.name)


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """What the pad says about one session that runs."""

    session: SessionName
    started_at: float
    memory: int
    disk: int
    """Bytes in use now, and in its home."""
    processes: int
    threads: int = 0
    """Of all its processes, which `session.processes` bounds."""
    limits: Limits | None = None


class EndReason(StrEnum):
    """Why a session is over."""

    STOPPED = "stopped"
    """Somebody asked for it."""
    IDLE = "idle"
    OLD = "old"
    EXITED = "exited"
    """Its server ended by itself."""
    SHUT_DOWN = "shut-down"
    """Its server ended without an error: somebody shut it down, as by File > Shut Down."""
    MEMORY = "memory"
    """Its server was killed for memory."""
    DISK = "disk"
    """Its home outgrew its limit."""
    FAILED_START = "failed-start"
    SERVICE_STOPPED = "service-stopped"
    PAD_LOST = "pad-lost"
    """The process that holds the sandboxes ended, or the cluster took its place."""


@dataclass(frozen=True, slots=True)
class Room:
    """What there is left for sessions."""

    memory: int | None
    """Bytes that could be given out now; None where nobody knows: of a cluster one namespace is seen."""
    disk: int
    """Bytes free where this machine has its files, those of its sessions among them."""
    inodes: int
    processors: float | None
    """How many it may use, busy or not; None as `memory`."""
