"""What an operator can set: dataclasses with a docstring a field, and how layers of values make them. Pure.

Defaults < `perijove.toml` < `PERIJOVE_*` < flags; every value knows where it came from.
A field `session.memory` is `[session] memory = "2G"` in the file and `PERIJOVE_SESSION_MEMORY` in the environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from ipaddress import ip_address, ip_network
from operator import attrgetter
from typing import Annotated, Any, get_type_hints

from perijove.domain.certificate_settings import CertificatesSettings
from perijove.domain.conda_settings import CondaSettings
from perijove.domain.failures import BAD_SETTINGS, NOT_ISOLATED, Evidence, Fail
from perijove.domain.listening import http_listeners, https_listeners, loopback_only, session_host_faults
from perijove.domain.nouns import Egress
from perijove.domain.parsing import parsed, split_address
from perijove.domain.system_settings import PlatformSettings
from perijove.domain.system_settings import faults as system_faults

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
    """Addresses and ports for https, or `off`. Empty: `127.0.0.1:8443`, or port 443 of everywhere with `hosts`."""
    hosts: tuple[str, ...] = ()
    """Names the service is reached by, each with a certificate of its own; others are refused. Empty: `localhost` and
    loopback addresses, and where it listens beyond loopback this machine's name and any IP address."""
    session_hosts: tuple[str, ...] = ()
    """Names that sessions are reached by, each an origin of its own: `*.run.example.org`, or a list of names, all in
    one certificate, that differ in their first label alone. Empty: `*.localhost` on loopback; elsewhere, or with `off`,
    sessions lie below the service's own names, and share their origin."""
    behind: tuple[str, ...] = ()
    """Addresses or networks of the web server in front; what it says in X-Forwarded-* is believed, others' is not."""
    drain: Seconds = 10
    """How long launches in progress may go on after SIGTERM."""
    cors_allow_origin: tuple[str, ...] = ()
    """Origins whose pages may launch and talk to sessions (thebe): `https://book.example.org`, or `*`. Empty: none."""
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
    PyPI does."""
    keep_free: Size = 5 * 1024**3
    """Least recently used environments are removed until so much disk is free, every hour and by `perijove clean`."""
    pythons: tuple[str, ...] = ()
    """Further interpreters, by absolute path, beside those found on this machine."""


@dataclass(frozen=True, slots=True)
class LaunchingSettings:
    total_quota: int = 0
    """How many sessions may run at once; 0: as many as memory and disk allow."""
    per_repo_quota: int = 0
    """How many sessions of one repository may run at once; 0: no such limit."""
    starting: int = 0
    """How many servers may start at once, while others wait; 0: 2 a processor."""
    ready: int = 4
    """How many sessions are held ready at most for what is asked for often, while memory allows; 0: none."""
    queue_length: int = 100
    """How many launches may wait for room."""
    queue_timeout: Seconds = 600
    """How long a launch waits for room."""
    keep_memory: Size = 512 * 1024**2
    """Memory that is never given to sessions."""
    keep_disk: Size = 1024**3
    """Disk that is never given to sessions."""
    banned: tuple[str, ...] = ()
    """Regular expressions; a launch `provider/spec` that one matches at its start is refused."""
    allowed: tuple[str, ...] = ()
    """Regular expressions; when there are any, a launch `provider/spec` must match one at its start."""
    banned_networks: Mapping[str, str] = field(default_factory=dict)
    """Networks whose visitors are refused, each with the name they are told: `"192.0.2.0/24" = "example"`."""
    rate_limit: int = 10
    """Launches per visitor and `rate_period` by clients that did not come through a page of ours; 0: no limit. A
    visitor is an address, for IPv6 a /64 network."""
    page_rate_limit: int = 300
    """The same for launches that came through a page of ours; 0: no limit. A class of 60 behind one address may so
    launch five times an hour each."""
    build_rate_limit: int = 10
    """Builds without a launch (`/build/…?build_only=true`) per visitor and `rate_period`; 0: no limit."""
    rate_period: Seconds = 3600
    """The window of `rate_limit`, `page_rate_limit` and `build_rate_limit`."""
    per_visitor_launches: int = 75
    """Launches of one visitor in progress at once; 0: no limit. A class of 60 may begin together, and a quarter of a
    queue of 100 is left to others."""
    per_visitor_quota: int = 150
    """Sessions of one visitor at once, those about to start included; 0: no limit. A class of 60 may so begin anew
    while its forgotten sessions still run."""
    retries: int = 2
    """How often a launch is tried again after a failure that trying again can help."""


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
    """A session without activity for so long is stopped; 0: never."""
    max_age: Seconds = 6 * 3600
    """A session older than this is stopped; 0: never."""
    kernel_ahead: bool = False
    """Whether a session imports what Python kernels need while its page loads, and forks them then: a kernel takes
    0.4 s less of a processor. Until none has been wanted for five minutes, that takes 40 MB, beside a kernel 16 MB."""


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
    certificates: CertificatesSettings = field(default_factory=CertificatesSettings)
    repositories: RepositoriesSettings = field(default_factory=RepositoriesSettings)
    build: BuildSettings = field(default_factory=BuildSettings)
    conda: CondaSettings = field(default_factory=CondaSettings)
    platform: PlatformSettings = field(default_factory=PlatformSettings)
    launching: LaunchingSettings = field(default_factory=LaunchingSettings)
    session: SessionSettings = field(default_factory=SessionSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)


@dataclass(frozen=True, slots=True)
class Layer:
    """Values from one source by dotted name (`session.memory`); texts are parsed to the field's type."""

    source: str
    """As people know it: `perijove.toml`, `PERIJOVE_SESSION_MEMORY`, `--http`."""
    values: Mapping[str, Any]


def names() -> Mapping[str, tuple[type, str, Any]]:
    """Every setting's dotted name, with its table's class, its field and the field's type."""
    found: dict[str, tuple[type, str, Any]] = {}
    for table, table_class in get_type_hints(Settings).items():
        for name, hint in get_type_hints(table_class, include_extras=True).items():
            found[f"{table}.{name}"] = (table_class, name, hint)
    return found


def environment_layers(environ: Mapping[str, str]) -> tuple[Layer, ...]:
    """`PERIJOVE_SESSION_MEMORY=1G` → `session.memory`, one layer a variable. Raises Fail for unknown ones."""
    by_variable = {"PERIJOVE_" + name.replace(".", "_").upper(): name for name in names()}
    layers = []
    for variable, text in environ.items():
        if variable.startswith("PERIJOVE_"):
            if variable not in by_variable:
                raise Fail(BAD_SETTINGS(f"there is no setting {variable}", Evidence("environment", variable)))
            layers.append(Layer(variable, {by_variable[variable]: text}))
    return tuple(layers)


def merged(layers: Iterable[Layer]) -> tuple[Settings, Mapping[str, str]]:
    """Settings from layers, the last one wins; and each changed setting's source by name. Raises Fail: bad-settings."""
    known, values, sources = names(), dict[str, Any](), dict[str, str]()
    for layer in layers:
        for name, raw in layer.values.items():
            if name not in known:
                raise Fail(BAD_SETTINGS(f"there is no setting {name}", Evidence(layer.source, str(raw)[:200])))
            try:
                values[name] = parsed(known[name][2], raw)
            except ValueError as error:
                raise Fail(BAD_SETTINGS(f"{name} {error}", Evidence(layer.source, str(raw)[:200]))) from error
            sources[name] = layer.source
    tables = {}
    for table in fields(Settings):
        own = {name.partition(".")[2]: value for name, value in values.items() if name.startswith(table.name + ".")}
        tables[table.name] = get_type_hints(Settings)[table.name](**own)
    settings = Settings(**tables)
    _check(settings, sources)
    return settings, sources


def _check(settings: Settings, sources: Mapping[str, str]) -> None:
    """What a type cannot say. Raises Fail: bad-settings."""

    def fail(name: str, why: str, saw: str) -> None:
        raise Fail(BAD_SETTINGS(f"{name} {why}", Evidence(sources.get(name, "default"), saw)))

    _check_addresses(settings, fail)
    others = [("service.session_hosts", *fault) for fault in session_host_faults(settings.service)]
    for name, why, saw in (*others, *system_faults(settings.platform)):
        fail(name, why, saw)
    for allowed in settings.service.cors_allow_origin:
        if not re.fullmatch(r"\*|null|[a-z][a-z0-9+.-]*://[^/\s]+", allowed):
            fail("service.cors_allow_origin", "must be origins like https://book.example.org, without a path", allowed)
    for name in ("launching.banned", "launching.allowed", "repositories.private"):
        for pattern in attrgetter(name)(settings):
            try:
                re.compile(pattern)
            except re.error as error:
                fail(name, f"holds no regular expression: {error}", pattern)
    if settings.session.isolation is IsolationMode.NONE and not loopback_only(settings.service):
        everywhere = " ".join((*http_listeners(settings.service), *https_listeners(settings.service)))
        raise Fail(NOT_ISOLATED("the service listens beyond loopback", Evidence("service.http(s)", everywhere)))
    if settings.build.concurrent < 1:
        fail("build.concurrent", "must be at least 1", str(settings.build.concurrent))
    if settings.journal.log_size < LEAST_LOG:
        fail("journal.log_size", f"must be at least {LEAST_LOG >> 10}K", str(settings.journal.log_size))
    if settings.session.cpus <= 0:
        fail("session.cpus", "must be more than 0", str(settings.session.cpus))


def _check_addresses(settings: Settings, fail: Callable[[str, str, str], None]) -> None:
    for name, addresses in (("http", settings.service.http), ("https", settings.service.https)):
        for address in addresses:
            try:
                split_address("127.0.0.1:0" if (name, address) == ("https", "off") else address)
            except ValueError as error:
                fail(f"service.{name}", str(error), address)
    networks = [("launching.banned_networks", one) for one in settings.launching.banned_networks]
    for name, network in [*networks, *(("service.behind", one) for one in settings.service.behind)]:
        try:
            ip_network(network)
        except ValueError:
            fail(name, "must name networks like 192.0.2.0/24", network)
    for server in settings.certificates.resolvers:
        try:
            _ = ip_address(server) if server.count(":") != 1 else split_address(server)
        except ValueError:
            fail("certificates.resolvers", "must name servers like 192.0.2.53 or 192.0.2.53:5353", server)
    for address in settings.certificates.public_addresses:
        try:
            ip_address(address)
        except ValueError:
            fail("certificates.public_addresses", "must be IP addresses", address)
