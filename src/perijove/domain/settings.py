"""What an operator can set: dataclasses with a docstring a field, and how layers of values make them. Pure.

Defaults < `perijove.toml` < `PERIJOVE_*` < flags; every value knows where it came from.
A field `session.memory` is `[session] memory = "2G"` in the file and `PERIJOVE_SESSION_MEMORY` in the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from perijove.domain.failures import BAD_SETTINGS, NOT_ISOLATED, Evidence, Fail
from perijove.domain.nouns import Egress

Size = Annotated[int, "size"]
"""Bytes; written as a number or with a unit: `512M`, `2G`, `1.5T` (powers of 1024)."""
Seconds = Annotated[float, "seconds"]
"""Written as a number or with a unit: `30s`, `10m`, `6h`, `2d`."""


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
    http: str = "127.0.0.1:8000"
    """Address and port that the service listens on."""
    hosts: tuple[str, ...] = ()
    """Names the service is reached by; others are refused. Empty: any name."""
    drain: Seconds = 10
    """How long launches in progress may go on after SIGTERM."""
    cors_allow_origin: str = ""
    """Origin whose pages may launch and talk to sessions (thebe): `*` or `https://book.example.org`. Empty: none."""
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
    """How large a checkout may be."""


@dataclass(frozen=True, slots=True)
class BuildSettings:
    timeout: Seconds = 1800
    """How long an environment's build may take."""
    memory: Size = 4 * 1024**3
    """Memory for a package's own build."""
    disk: Size = 10 * 1024**3
    """Disk for a package's own build."""
    concurrent: int = 2
    """How many environments are built at once; others wait."""
    hosts: tuple[str, ...] = ("pypi.org:443", "files.pythonhosted.org:443")
    """`host:port` that a package's own build may reach beside public web addresses: the package index."""
    keep_free: Size = 5 * 1024**3
    """`perijove clean` removes least recently used environments until so much disk is free."""
    pythons: tuple[str, ...] = ()
    """Further interpreters, by absolute path, beside those found on this machine."""


@dataclass(frozen=True, slots=True)
class LaunchingSettings:
    total_quota: int = 0
    """How many sessions may run at once; 0: as many as memory and disk allow."""
    per_repo_quota: int = 0
    """How many sessions of one repository may run at once; 0: no such limit."""
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
    """Launches per address and `rate_period` by clients that did not come through a page of ours; 0: no limit."""
    rate_period: Seconds = 3600
    """The window of `rate_limit`."""
    retries: int = 2
    """How often a launch is tried again after a failure that trying again can help."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    isolation: IsolationMode = IsolationMode.SANDBOX
    """`sandbox`, or `none` for a service on loopback only: strangers' code then runs as you."""
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
    """How long a server may take to its first answer."""
    stall_timeout: Seconds = 10
    """How long a starting server may do nothing at all before it counts as hanging."""
    idle_timeout: Seconds = 1800
    """A session without activity for so long is stopped; 0: never."""
    max_age: Seconds = 6 * 3600
    """A session older than this is stopped; 0: never."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, by table."""

    service: ServiceSettings = field(default_factory=ServiceSettings)
    repositories: RepositoriesSettings = field(default_factory=RepositoriesSettings)
    build: BuildSettings = field(default_factory=BuildSettings)
    launching: LaunchingSettings = field(default_factory=LaunchingSettings)
    session: SessionSettings = field(default_factory=SessionSettings)


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


_UNITS = {"size": {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}}
_UNITS["seconds"] = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parsed(hint: Any, raw: Any) -> Any:
    """A raw value as the type of its field. Raises ValueError with words that follow the setting's name."""
    origin = get_origin(hint)
    if origin is Annotated:
        base, unit = get_args(hint)
        return _quantity(base, unit, raw)
    if origin is tuple:
        if isinstance(raw, str):
            raw = [part for part in re.split(r"[,\s]+", raw) if part]
        if not isinstance(raw, (list, tuple)) or not all(isinstance(part, str) for part in raw):
            raise ValueError("must be a list of texts")
        return tuple(raw)
    if origin is not None and issubclass(origin, Mapping):
        if isinstance(raw, str):
            raw = dict(part.split("=", 1) for part in raw.split(",") if "=" in part)
        if not isinstance(raw, dict) or not all(isinstance(value, str) for value in raw.values()):
            raise ValueError("must be a table of texts")
        return raw
    if issubclass(hint, StrEnum):
        if raw not in list(hint):
            raise ValueError(f"must be one of {', '.join(hint)}")
        return hint(raw)
    return _scalar(hint, raw)


def _quantity(base: type, unit: str, raw: Any) -> Any:
    """A number with a unit."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]?)", str(raw).strip().removesuffix("B").removesuffix("i"))
    letter = (match[2].upper() if unit == "size" else match[2].lower()) if match else "?"
    if match is None or letter not in _UNITS[unit]:
        example = "512M" if unit == "size" else "10m"
        raise ValueError(f"must be a number, perhaps with a unit of {' '.join(filter(None, _UNITS[unit]))}: {example}")
    return base(float(match[1]) * _UNITS[unit][letter])


def _scalar(hint: type, raw: Any) -> Any:
    """A plain text or number."""
    if isinstance(raw, bool) or not isinstance(raw, (str, int, float)):
        raise ValueError(f"must be a {'text' if hint is str else 'number'}")
    if hint is str:
        return str(raw)
    try:
        value = hint(raw)
    except ValueError:
        raise ValueError("must be a number") from None
    if value < 0:
        raise ValueError("must not be negative")
    return value


def _check(settings: Settings, sources: Mapping[str, str]) -> None:
    """What a type cannot say. Raises Fail: bad-settings."""

    def fail(name: str, why: str, saw: str) -> None:
        raise Fail(BAD_SETTINGS(f"{name} {why}", Evidence(sources.get(name, "default"), saw)))

    try:
        split_address(settings.service.http)
    except ValueError as error:
        fail("service.http", str(error), settings.service.http)
    for network in settings.launching.banned_networks:
        try:
            ip_network(network)
        except ValueError:
            fail("launching.banned_networks", "must name networks like 192.0.2.0/24", network)
    for name, patterns in (("banned", settings.launching.banned), ("allowed", settings.launching.allowed)):
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                fail(f"launching.{name}", f"holds no regular expression: {error}", pattern)
    if settings.session.isolation is IsolationMode.NONE and not loopback_only(settings):
        raise Fail(NOT_ISOLATED("the service listens beyond loopback", Evidence("service.http", settings.service.http)))
    if settings.build.concurrent < 1:
        fail("build.concurrent", "must be at least 1", str(settings.build.concurrent))
    if settings.session.cpus <= 0:
        fail("session.cpus", "must be more than 0", str(settings.session.cpus))


def split_address(address: str) -> tuple[str, int]:
    """`127.0.0.1:8000`, `[::1]:8000` or `:8000` → host and port. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be ADDRESS:PORT, like 127.0.0.1:8000")
    if host and host != "localhost":
        try:
            ip_address(host)
        except ValueError:
            raise ValueError("must begin with an IP address, like 127.0.0.1:8000") from None
    return host, int(port)


def loopback_only(settings: Settings) -> bool:
    """Whether nobody but this machine can reach the service."""
    host, _ = split_address(settings.service.http)
    return host == "localhost" or (host != "" and ip_address(host).is_loopback)


def own_url(settings: Settings) -> str:
    """The service's own address with its slash, by its first name where it has one."""
    if not settings.service.hosts:
        return listening_url(settings)
    port = split_address(settings.service.http)[1]
    return f"http://{settings.service.hosts[0]}{'' if port == 80 else f':{port}'}/"


def listening_url(settings: Settings) -> str:
    """Where this machine itself reaches the service, whatever its names mean elsewhere."""
    host, port = split_address(settings.service.http)
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host) or (f"[{host}]" if ":" in host else host)
    return f"http://{name}{'' if port == 80 else f':{port}'}/"
