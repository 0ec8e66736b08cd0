"""What an operator can set: dataclasses with a docstring a field, and how layers of values make them. Pure.

Defaults < `perijove.toml` < `PERIJOVE_*` < flags; every value knows where it came from.
A field `session.memory` is `[session] memory = "2G"` in the file and `PERIJOVE_SESSION_MEMORY` in the environment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from perijove.domain.auth_settings import AuthSettings
from perijove.domain.certificate_settings import CertificatesSettings
from perijove.domain.classes import ClassSettings
from perijove.domain.conda_settings import CondaSettings
from perijove.domain.engine_settings import EngineSettings
from perijove.domain.nouns import Egress
from perijove.domain.page_settings import PageSettings
from perijove.domain.system_settings import PlatformSettings

Size = Annotated[int, "size"]
"""Bytes; written as a number or with a unit: `512M`, `2G`, `1.5T` (powers of 1024)."""
Seconds = Annotated[float, "seconds"]
"""Written as a number or with a unit: `30s`, `10m`, `6h`, `2d`."""
LEAST_LOG = 64 * 1024
"""Bytes."""


class IsolationMode(StrEnum):
    """How strangers' code is held."""

    SANDBOX = "sandbox"
    NONE = "none"
    """For a service on loopback only: it then runs as whoever runs the service."""


class FetchPythons(StrEnum):
    """Where a Python comes from that a repository asks for and this machine does not have."""

    NO = "no"
    CONDA = "conda"
    """conda-forge, as a package of an environment of its own."""


class PrivateAddresses(StrEnum):
    """Whether visitors may name repositories at private and loopback addresses."""

    AUTO = "auto"
    """Only when the service listens on loopback only."""
    YES = "yes"
    NO = "no"


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    http: tuple[str, ...] = ()
    """Addresses and ports for http. Empty: `127.0.0.1:8000`, or `0.0.0.0:80` and `[::]:80` when there are `hosts`."""
    https: tuple[str, ...] = ()
    """Addresses and ports for https, or `off`. Empty: port 443 of everywhere with `hosts`; else `127.0.0.1:8443`, but
    none where `http` is set without `behind`."""
    http3: bool = False
    """Whether browsers are offered HTTP/3 (QUIC), at the same ports by UDP; never behind a web server in front."""
    hosts: tuple[str, ...] = ()
    """Names the service is reached by, each with a certificate of its own; others are refused. Empty: `localhost` and
    loopback addresses, and where it listens beyond loopback this machine's name and any IP address."""
    session_hosts: tuple[str, ...] = ()
    """Names that sessions are reached by, each an origin of its own: `*.run.example.org`, or a list of names, all in
    one certificate, that differ in their first label alone. Empty: `*.localhost` on loopback; elsewhere, or with `off`,
    sessions lie below the service's own names, and share their origin."""
    base: str = "/"
    """The path that everything lies below, with both slashes: `/binder/`, which a web server in front passes on as it
    is. Only what CAs ask for stays at the root. Sessions that run while it changes are reached no more."""
    behind: tuple[str, ...] = ()
    """Addresses or networks of the web server in front; what it says in X-Forwarded-* is believed, others' is not."""
    drain: Seconds = 10
    """How long launches in progress may go on after SIGTERM."""
    cors_allow_origin: tuple[str, ...] = ()
    """Origins whose pages may launch and talk to sessions (thebe): `https://book.example.org`, or `*`. Empty: none."""
    frame_ancestors: tuple[str, ...] = ()
    """Origins whose pages may hold ours and sessions' in a frame: `https://book.example.org`, `*`, or `none`. Empty:
    those of `cors_allow_origin`. What a repository's own server says of frames stays as it is."""
    open_logs: bool = False
    """Whether anybody may read the logs of launches of public repositories; else whoever began a launch alone."""
    title: str = "Perijove"
    """The service's name on its pages."""


@dataclass(frozen=True, slots=True)
class RepositoriesSettings:
    private_addresses: PrivateAddresses = PrivateAddresses.AUTO
    """Whether visitors may name private and loopback addresses: `yes`, `no`, `auto` (if we listen on loopback only)."""
    resolve_timeout: Seconds = 30
    """How long a host may take to list its refs."""
    fetch_timeout: Seconds = 300
    """How long fetching a commit with its submodules and LFS files may take."""
    max_size: Size = 2 * 1024**3
    """How large a checkout may be: its files with 4 KiB more for each, its submodules' and LFS files, and `.git`."""
    max_files: int = 200_000
    """How many files and folders a checkout may have, those of its submodules included."""
    memory: Size = 1024**3
    """Memory for each process that fetches: git refuses a repository that needs more."""
    private: tuple[str, ...] = ()
    """Regular expressions; a launch `provider/spec` that one matches at its start is fetched with the credentials that
    git's configuration has, so that whoever may launch can read it. All others are fetched without any."""


@dataclass(frozen=True, slots=True)
class BuildSettings:
    timeout: Seconds = 1800
    """How long an environment's build may take."""
    memory: Size = 4 * 1024**3
    """Memory for a package's own build."""
    disk: Size = 10 * 1024**3
    """Disk for a package's own build."""
    environment_size: Size = 10 * 1024**3
    """Disk that the packages of one environment may add, unpacked."""
    environment_files: int = 400_000
    """Files that the packages of one environment may add."""
    concurrent: int = 2
    """How many environments are built at once; others wait."""
    hosts: tuple[str, ...] = ("pypi.org:443", "files.pythonhosted.org:443")
    """`host:port` that a package's own build may reach beside public web addresses: the package index."""
    exclude_newer: bool = False
    """Whether packages that the index got after a commit was made are left out, as by `uv --exclude-newer`: so a commit
    of 2021 gets packages of 2021, pip and uv in its postBuild as well. Wants an index that tells when it got them, as
    PyPI does; another one fails with `build.index-undated`."""
    keep_free: Size = 5 * 1024**3
    """Least recently used environments are removed until so much disk is free: every hour, by `perijove clean`, and
    before a launch waits for disk. At least `launching.keep_disk`."""
    pythons: tuple[str, ...] = ()
    """Further interpreters, by absolute path, beside those found on this machine."""
    fetch_pythons: FetchPythons = FetchPythons.NO
    """Where a Python comes from that runtime.txt, .python-version or requires-python asks for, and that is not
    installed: `conda`, from conda-forge; or `no`: the nearest that is installed is taken where that may be."""


@dataclass(frozen=True, slots=True)
class LaunchingSettings:
    total_quota: int = 0
    """How many sessions may run at once; 0: as many as memory and disk allow."""
    per_repo_quota: int = 0
    """How many sessions of one repository, however it is spelled, may run at once; 0: no such limit."""
    starting: int = 0
    """How many servers may start at once, while others wait; 0: 2 a processor."""
    ready: int = 4
    """How many sessions are held ready at most for what is asked for often, blank ones of environments that several
    repositories have among them, while memory allows; 0: none."""
    queue_length: int = 100
    """How many launches may wait for room."""
    queue_timeout: Seconds = 600
    """How long a launch waits for room."""
    keep_memory: Size = 512 * 1024**2
    """Memory that is never given to sessions."""
    keep_disk: Size = 1024**3
    """Disk that is never given to sessions."""
    banned: tuple[str, ...] = ()
    """Regular expressions; a launch `provider/spec` that one matches at its start is refused. A repository is meant,
    however a link spells it: by `gh/` or by `git/` and a URL, with `.git` or without; and a person's gists with all of
    their repositories."""
    allowed: tuple[str, ...] = ()
    """Regular expressions; when there are any, a launch `provider/spec` must match one at its start, in any spelling
    that is surely of the same repository: not by http for https."""
    banned_networks: Mapping[str, str] = field(default_factory=dict)
    """Networks whose visitors are refused, each with the name they are told: `"192.0.2.0/24" = "example"`."""
    rate_limit: int = 75
    """Launches per visitor and `rate_period` by clients that did not come through a page of ours; 0: no limit. A
    visitor is an address, for IPv6 a /64 network. What fails does not count, unless it is ten times as much. A class of
    60 behind one address gets in once, whatever it comes by, and some of it anew; BinderHub's 10 turned most away, and
    kept out nobody who loads a page first."""
    page_rate_limit: int = 300
    """The same for launches that came through a page of ours; 0: no limit. A class of 60 behind one address may so
    launch five times an hour each."""
    origin_rate_limit: int = 300
    """The same for launches by pages of `service.cors_allow_origin` (thebe); 0: no limit. Those who read such a site's
    pages at one address are a visitor of their own, also for what may run at once: a class reads a book together."""
    build_rate_limit: int = 10
    """Builds without a launch (`/build/…?build_only=true`) per visitor and `rate_period`; 0: no limit."""
    rate_period: Seconds = 3600
    """The window of `rate_limit`, `page_rate_limit`, `origin_rate_limit` and `build_rate_limit`."""
    per_visitor_launches: int = 75
    """Launches of one visitor in progress at once; 0: no limit. A class of 60 may begin together, and a quarter of a
    queue of 100 is left to others."""
    per_visitor_quota: int = 150
    """Sessions of one visitor at once, those about to start included; 0: no limit. A class of 60 may so begin anew
    while its forgotten sessions still run."""
    offer_running: bool = True
    """Whether whoever opens a launch link in their browser, and has a session of it running, is offered that one first.
    Programs, other sites' pages and what they embed are not asked."""
    retries: int = 2
    """How often a launch is tried again after a failure that trying again can help."""
    push_secret_file: str = ""
    """File with the secret, of 16 characters or more, by which GitHub, GitLab, Gitea or Forgejo signs what it tells
    `/hooks/prepare` of a push to a class's repository; the service's user must be able to read it, and nobody else.
    Empty: pushes are not taken."""
    classes: tuple[ClassSettings, ...] = ()
    """Classes: whose repositories are prepared in time, and for whom room is kept. Each is a table of its own."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    isolation: IsolationMode = IsolationMode.SANDBOX
    """`sandbox`, or `none` for a service on loopback only: strangers' code then runs as you."""
    forked: bool = True
    """Get servers by a fork of one that has imported everything, where that can be; else each is started."""
    memory: Size = 2 * 1024**3
    """Memory for one session."""
    memory_reserved: Size = 256 * 1024**2
    """Memory that must be free for one more session to start; less than `memory`, since few use all they may."""
    cpus: float = 2.0
    """Processors' worth of time for one session."""
    processes: int = 256
    """Processes and threads for one session."""
    disk: Size = 2 * 1024**3
    """Disk for one session's home."""
    tmp: Size = 512 * 1024**2
    """Size of a session's `/tmp`."""
    egress: Egress = Egress.PUBLIC
    """What a session may reach: `none`, or `public` web addresses."""
    egress_allowed: tuple[str, ...] = ()
    """`host:port` that sessions may reach beside the rule: a mirror on the campus network."""
    start_timeout: Seconds = 60
    """How long a server may take to its first answer. Time in which it stands in line for a processor or for the disk
    does not count, up to five times as long in all."""
    stall_timeout: Seconds = 10
    """How long a starting server may do nothing at all, although it could, before it counts as hanging."""
    idle_timeout: Seconds = 1800
    """A session with no page open is stopped when it was not used for so long; 0: never."""
    tab_timeout: Seconds = 2 * 3600
    """A session whose page is open is stopped when nobody used it and nothing ran in it for so long; 0: never."""
    max_age: Seconds = 6 * 3600
    """A session older than this is stopped, whatever runs in it; 0: never."""
    keep: Seconds = 7 * 86400
    """How long what a visitor changed in the home of a session that ended is kept, for them alone; 0: not at all."""
    keep_size: Size = 100 * 1024**2
    """How many bytes of a session's changed files are kept, the smallest first."""
    keep_files: int = 5000
    """How many files."""
    keep_per_visitor: Size = 500 * 1024**2
    """How much is kept for one visitor, each session counting 1 MB or more; of more the oldest sessions' goes."""
    keep_total: Size = 10 * 1024**3
    """How much is kept for all; of more that of whoever has most."""
    lab_disabled: tuple[str, ...] = ("@jupyterlab/extensionmanager-extension",)
    """Extensions, or plugins of one, that pages of JupyterLab and Notebook do without: `@jupyterlab/name-extension` or
    `@jupyterlab/name-extension:plugin`. What the extension manager installs is gone with its session."""
    kernel_ahead: bool = True
    """Whether a session imports what Python kernels need while its page loads, or while it is held ready and memory
    allows, and forks them then: a kernel is there 0.3 s sooner. Until none has been wanted for two minutes, that takes
    50 MB, beside a kernel 17 MB."""


@dataclass(frozen=True, slots=True)
class HomeSettings:
    path: str = ""
    """Folder with a home for each person who logs in, `<path>/<name>`, which their sessions have at `~/home`. It
    belongs to the service's user, or, where that is root, to any other. Empty: nobody has one."""
    quota: Size = 0
    """How many bytes a home may have; 0: no limit. A fuller one can be written to, so that something can be removed; a
    session that makes it fuller still is told so, and ended half a minute later. What is written meanwhile, and where
    there are too many files to be counted in 2 s, a quota of its file system alone holds back."""
    timeout: Seconds = 5
    """How long its file system may take to answer when a session starts."""


def home_faults(home: HomeSettings) -> Iterator[tuple[str, str, str]]:
    """What cannot be followed: a setting's name, words after it, and what stands there."""
    if home.path and not home.path.startswith("/"):
        yield "home.path", "must be an absolute path", home.path


@dataclass(frozen=True, slots=True)
class JournalSettings:
    log_size: Size = 1024**2
    """How much of a launch's log is kept, and of a session's: the first part and the last lines."""
    keep_age: Seconds = 90 * 86400
    """How long launches, sessions and orders that are over are kept; 0: for ever."""
    keep_size: Size = 1024**3
    """How large the journal may be; the oldest that are over go first. 0: no such limit."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, by table."""

    service: ServiceSettings = field(default_factory=ServiceSettings)
    page: PageSettings = field(default_factory=PageSettings)
    certificates: CertificatesSettings = field(default_factory=CertificatesSettings)
    repositories: RepositoriesSettings = field(default_factory=RepositoriesSettings)
    build: BuildSettings = field(default_factory=BuildSettings)
    conda: CondaSettings = field(default_factory=CondaSettings)
    platform: PlatformSettings = field(default_factory=PlatformSettings)
    launching: LaunchingSettings = field(default_factory=LaunchingSettings)
    session: SessionSettings = field(default_factory=SessionSettings)
    home: HomeSettings = field(default_factory=HomeSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
