"""The closed catalogue of everything that can go wrong, and one exception to carry it. Pure.

A row says what it is called, who can put it right, whether trying again can help, and the remedy.
A `Failure` is one happening of a row: its cause, and what was seen where. Backends turn their
libraries' errors into rows at their border; only the web knows HTTP statuses, only the CLI exit codes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Owner(StrEnum):
    """Who can put it right."""

    VISITOR = "visitor"
    AUTHOR = "author"
    """of the repository"""
    OPERATOR = "operator"
    UPSTREAM = "upstream"
    US = "us"


class Retry(StrEnum):
    """Whether trying the same again can help."""

    NEVER = "never"
    BACKOFF = "backoff"
    AFTER = "after"
    """not before `Failure.after` seconds"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where we looked, and what stood there, verbatim and bounded."""

    where: str
    saw: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of the catalogue."""

    code: str
    title: str
    owner: Owner
    retry: Retry
    remedy: str

    def __call__(self, cause: str, *evidence: Evidence, remedy: str = "", after: float = 0) -> Failure:
        """One happening of this kind. `remedy` replaces the row's where the place knows better; `after` is seconds."""
        return Failure(self, cause, evidence, remedy or self.remedy, after)


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that went wrong: code, cause, evidence, owner and remedy."""

    kind: Kind
    cause: str
    """One sentence without its full stop."""
    evidence: tuple[Evidence, ...]
    remedy: str
    after: float = 0
    """Seconds until it is worth trying again, for `Retry.AFTER`."""

    @property
    def sentence(self) -> str:
        """The cause as a sentence of its own."""
        return sentence(self.cause)

    @property
    def message(self) -> str:
        """The one line that every client can show: `<title>: <cause>. <remedy>`."""
        return f"{self.kind.title}: {self.cause.rstrip('. ')}. {self.remedy}"


_BEGINS = re.compile(
    r"(?:an?|after|all|another|at|both|each|every|for|in|its?|more|no|nobody|none|nothing|of|on|one|only|others?|our"
    r"|some|somebody|that|the|there|these|this|those|too|two|what|when|where|which|while|who|whoever|with|your?)(?= )"
)
"""Words that are written with a capital at a sentence's beginning; any other may be a file's or a program's name."""


def sentence(words: str) -> str:
    """These words with a capital where they may have one, and a full stop."""
    begun = f"{words[0].upper()}{words[1:]}" if _BEGINS.match(words) else words
    return f"{begun.rstrip('. ')}."


class Fail(Exception):
    """Carries one Failure up to the way that tells it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


CATALOGUE: dict[str, Kind] = {}
"""Every kind by its code."""


def row(code: str, title: str, owner: Owner, retry: Retry, remedy: str) -> Kind:
    """A new kind, entered in the catalogue."""
    CATALOGUE[code] = kind = Kind(code, title, owner, retry, remedy)
    return kind


def operator_row(code: str, title: str, remedy: str, retry: Retry = Retry.NEVER) -> Kind:
    """A new kind that whoever runs the service puts right; trying again does not help until then, unless it says so."""
    return row(code, title, Owner.OPERATOR, retry, remedy)


def author_row(code: str, title: str, remedy: str, retry: Retry = Retry.NEVER) -> Kind:
    """The same for what the repository's author puts right."""
    return row(code, title, Owner.AUTHOR, retry, remedy)


def visitor_row(code: str, title: str, remedy: str, retry: Retry = Retry.NEVER) -> Kind:
    """The same for what the visitor puts right."""
    return row(code, title, Owner.VISITOR, retry, remedy)


def upstream_row(code: str, title: str, remedy: str, retry: Retry = Retry.BACKOFF) -> Kind:
    """A new kind that somebody else's server puts right: trying again may help, unless it says otherwise."""
    return row(code, title, Owner.UPSTREAM, retry, remedy)


# resolve: which commit is this?
BAD_LINK = visitor_row(
    "resolve.bad-link", "This link names no repository",
    "Write it as gh/owner/repo/ref, or paste the repository's web address.",
)  # fmt: skip
UNKNOWN_PROVIDER = visitor_row(
    "resolve.unknown-provider", "This kind of link is not served here",
    "Use one of gh, gl, gist or git.",
)  # fmt: skip
FORBIDDEN_ADDRESS = visitor_row(
    "resolve.forbidden-address", "This address may not be fetched from",
    "Use a public https address; the operator can allow private ones with repositories.private_addresses.",
)  # fmt: skip
REPO_NOT_FOUND = visitor_row(
    "resolve.repo-not-found", "The repository was not found",
    "Check the spelling, and that the repository is public.",
)  # fmt: skip
REF_NOT_FOUND = visitor_row(
    "resolve.ref-not-found", "The branch, tag or commit was not found",
    "Check its spelling; HEAD is always the default branch.",
)  # fmt: skip
HOST_UNREACHABLE = upstream_row(
    "resolve.host-unreachable", "The repository's host does not answer",
    "Try again in a minute; if it lasts, the operator should look at this machine's DNS, proxy and firewall.",
)  # fmt: skip
REPO_FORBIDDEN = visitor_row(
    "resolve.access-denied", "The repository's host refused us",
    "Make it public, or ask the operator to name it in repositories.private and to give git credentials for it.",
)  # fmt: skip
FETCH_FAILED = upstream_row(
    "resolve.fetch-failed", "The repository could not be fetched",
    "Read git's words below; try again if its host was busy.",
)  # fmt: skip
TOO_LARGE = author_row(
    "resolve.too-large", "The repository is too large",
    "Move large data out of the repository, or ask the operator to raise repositories.max_size or max_files.",
)  # fmt: skip
BAD_TREE = author_row(
    "resolve.bad-tree", "The repository holds files that cannot be laid out",
    "Run `git fsck --full` on it, mend or rename what it names, and push.",
)  # fmt: skip
TOO_SLOW = upstream_row(
    "resolve.too-slow", "Fetching the repository took too long",
    "Try again; the operator can raise repositories.fetch_timeout.", Retry.AFTER,
)  # fmt: skip
LFS_MISSING = author_row(
    "resolve.lfs-missing", "A file that the repository keeps in Git LFS cannot be had",
    "Bring it to the server with `git lfs push --all`, or remove it from the repository.",
)  # fmt: skip
SUBMODULE_FAILED = author_row(
    "resolve.submodule-failed", "A submodule could not be fetched",
    "Point the submodule at a public https address and at a commit that exists there.",
)  # fmt: skip

# build: which environment is that?
UNSUPPORTED_FILE = author_row(
    "build.unsupported-file", "The repository describes its environment in a way not supported yet",
    "Describe the environment with requirements.txt, pyproject.toml or environment.yml.",
)  # fmt: skip
BAD_FILE = author_row(
    "build.bad-file", "A file that describes the environment cannot be read",
    "Correct the file and push.",
)  # fmt: skip
PYTHON_UNAVAILABLE = author_row(
    "build.python-unavailable", "The Python version asked for cannot be had here",
    "Ask for one of the versions listed, or have the operator install it.",
)  # fmt: skip
NO_SUCH_PACKAGE = author_row(
    "build.no-such-package", "A package cannot be found",
    "Check its spelling and version in the requirements.",
)  # fmt: skip
NO_WHEEL = author_row(
    "build.no-wheel", "A package has no build for this Python",
    "Ask for a version of the package that has one, or for another Python in runtime.txt.",
)  # fmt: skip
CONFLICT = author_row(
    "build.conflict", "The requirements contradict one another",
    "Loosen one of the versions named below.",
)  # fmt: skip
BUILD_BROKE = author_row(
    "build.package-broke", "A package's own build failed",
    "Read the last lines of its log; a version that ships wheels avoids the build.",
)  # fmt: skip
POST_BUILD_FAILED = author_row(
    "build.post-build-failed", "The repository's postBuild failed",
    "Read the last lines of its log: postBuild has to end with exit status 0.",
)  # fmt: skip
INDEX_UNREACHABLE = upstream_row(
    "build.index-unreachable", "The package index does not answer",
    "Try again in a minute; if it lasts, the operator should look at this machine's network and uv's index settings.",
)  # fmt: skip
INDEX_UNTRUSTED = operator_row(
    "build.index-untrusted", "The package index's authority is not known",
    "Name a file that has its authority, and all others, as SSL_CERT_FILE of the service.",
)  # fmt: skip
INDEX_UNDATED = operator_row(
    "build.index-undated", "The package index does not tell since when it has its packages",
    "Set build.exclude_newer = false, or use an index that tells upload times (PEP 700), as PyPI does.",
)  # fmt: skip
INSTALL_FAILED = author_row(
    "build.install-failed", "The environment could not be installed",
    "Read uv's words below.",
)  # fmt: skip
BUILD_TOO_SLOW = author_row(
    "build.too-slow", "Building the environment took too long",
    "Ask for fewer packages, or ones that ship wheels; the operator can raise build.timeout.",
)  # fmt: skip
BUILD_MEMORY = author_row(
    "build.out-of-memory", "Building the environment needed more memory than allowed",
    "Use packages that ship wheels, or ask the operator to raise build.memory.",
)  # fmt: skip
BUILD_TOO_LARGE = author_row(
    "build.too-large", "The environment is too large",
    "Ask for smaller packages; the operator can raise build.environment_size, build.environment_files, build.disk.",
)  # fmt: skip
BUILD_DISK = operator_row(
    "build.disk-full", "The disk filled up while building",
    "Free space: `perijove clean` removes environments nobody used lately.", Retry.AFTER,
)  # fmt: skip

# start: may it run, and where?
NOT_ALLOWED = operator_row(
    "start.not-allowed", "This repository may not be launched here",
    "Ask the operator: launching.banned and launching.allowed decide.",
)  # fmt: skip
BAD_REQUEST = visitor_row(
    "start.bad-request", "This request cannot be answered",
    "Correct the client that sent it.",
)  # fmt: skip
QUEUE_FULL = operator_row(
    "start.queue-full", "There is no room and the queue is full",
    "Try again in a few minutes.", Retry.AFTER,
)  # fmt: skip
WAITED_TOO_LONG = operator_row(
    "start.no-room", "No room came free in time",
    "Try again later; the operator can raise the quota, or stop idle sessions sooner with session.idle_timeout.",
    Retry.AFTER,
)  # fmt: skip
START_DISK = operator_row(
    "start.disk-full", "The disk is full",
    "Raise session.disk, or free space: `perijove clean` removes environments nobody used lately.",
)  # fmt: skip
SANDBOX_FAILED = operator_row(
    "start.sandbox-failed", "The sandbox could not be made",
    "Read bubblewrap's words below.",
)  # fmt: skip

# session: what happens to one that runs
KERNEL_MEMORY = visitor_row(
    "session.kernel-out-of-memory", "A process was killed for memory",
    "Your files are safe; restart the kernel and work on less data at once. The operator can raise session.memory.",
)  # fmt: skip
SESSION_MEMORY = visitor_row(
    "session.out-of-memory", "The session was killed for memory",
    "Launch again and work on less data at once. The operator can raise session.memory.",
)  # fmt: skip
SESSION_DISK_SOON = visitor_row(
    "session.disk-nearly-full", "The session's disk is nearly full",
    "Remove files that nobody needs, or write less; the operator can raise session.disk.",
)  # fmt: skip
SESSION_DISK = visitor_row(
    "session.disk-full", "The session's disk is full",
    "Launch again and write less; the operator can raise session.disk.",
)  # fmt: skip
SESSION_CRASHED = author_row(
    "session.server-died", "The session's Jupyter server ended",
    "Launch again; its last words stand below.",
)  # fmt: skip

# platform: the ground we stand on
NAMESPACES_FORBIDDEN = operator_row(
    "platform.namespaces-forbidden", "This machine forbids the namespaces that a sandbox needs",
    "Allow unprivileged user namespaces for bubblewrap.",
)  # fmt: skip
SECCOMP_MISSING = operator_row(
    "platform.seccomp-missing", "libseccomp is not installed",
    "Install it: `apt-get install libseccomp2` or `dnf install libseccomp`.",
)  # fmt: skip
TOOL_MISSING = operator_row(
    "platform.tool-missing", "A program that Perijove needs is missing",
    "Install it.",
)  # fmt: skip
PORT_TAKEN = operator_row(
    "platform.port-taken", "The address is in use by another program",
    "Stop that program, or choose another address with --http.",
)  # fmt: skip
PORT_FORBIDDEN = operator_row(
    "platform.port-forbidden", "This address may not be listened on",
    "Choose a port of 1024 or above with --http, or run as root.",
)  # fmt: skip
STATE_UNUSABLE = operator_row(
    "platform.state-unusable", "The state directory cannot be used",
    "Choose another with --state, or repair its permissions.",
)  # fmt: skip
ALREADY_UP = operator_row(
    "platform.already-up", "Perijove already runs on this state directory",
    "Stop it first, or choose another state directory with --state.",
)  # fmt: skip
NOT_UP = operator_row("platform.not-up", "Perijove does not run", "Start it with `perijove up`.")
BAD_SETTINGS = operator_row(
    "platform.bad-settings", "The settings cannot be read",
    "Correct the setting named.",
)  # fmt: skip
NOT_ISOLATED = operator_row(
    "platform.not-isolated", "isolation = none is for a service on loopback only",
    'Remove session.isolation = "none", or listen on 127.0.0.1.',
)  # fmt: skip
DISK_FULL = operator_row(
    "platform.disk-full", "The disk of the state directory is full",
    "Free space: `perijove clean` removes environments nobody used lately.", Retry.AFTER,
)  # fmt: skip
DATA_PLANE_DOWN = operator_row(
    "platform.data-plane-down", "Caddy does not run",
    "Read its last words below.", Retry.BACKOFF,
)  # fmt: skip
PAD_DOWN = operator_row(
    "platform.pad-down", "The pad, which holds the sandboxes, does not run",
    "It is started again by itself; if it is not, read its last words below.", Retry.BACKOFF,
)  # fmt: skip
KILLED = operator_row(
    "platform.killed", "The machine ended a process of the service",
    "Most likely it ran out of memory: `dmesg` says so; give it more, or let fewer launches run at once.",
    Retry.BACKOFF,
)  # fmt: skip
HUNG = operator_row(
    "platform.hung", "A process of the service hung, and was ended",
    "Launch again: another takes its place. If it comes back, see what this machine waits for: `dmesg`, its disk.",
    Retry.BACKOFF,
)  # fmt: skip
INTERRUPTED = operator_row(
    "platform.interrupted", "The service stopped during this launch",
    "Launch again; what was built is kept.", Retry.BACKOFF,
)  # fmt: skip
NO_SUCH_OBJECT = visitor_row(
    "platform.no-such-object", "There is no such thing here",
    "`perijove get` lists what there is: `perijove get sessions`, and so launches, environments, certificates.",
)  # fmt: skip
NO_LONGER_KEPT = visitor_row(
    "platform.no-longer-kept", "It is no longer kept",
    "Launch its repository again; journal.keep_age and journal.keep_size say how long launches are kept.",
)  # fmt: skip

BUG = row("internal.bug", "Perijove made a mistake", Owner.US, Retry.NEVER, "Please report it with the lines below.")


def of(error: BaseException) -> Failure:
    """The failure an exception stands for; anything that is not a Fail is our own bug, with the place it came from."""
    if isinstance(error, Fail):
        return error.failure
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return of(error.exceptions[0])
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f"{frame.tb_frame.f_code.co_qualname}, line {frame.tb_lineno}" if frame is not None else "unknown place"
    return BUG(f"{type(error).__name__} in {where}", Evidence(where, str(error)[:2000]))
