"""Settings from layers, each over the one before: defaults, a file, the environment, flags. Pure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address, ip_network
from operator import attrgetter
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from perijove.domain.auth_settings import faults as auth_faults
from perijove.domain.classes import faults as class_faults
from perijove.domain.engine_settings import POD_DEFAULTS, EngineKind
from perijove.domain.engine_settings import faults as engine_faults
from perijove.domain.failures import BAD_SETTINGS, NOT_ISOLATED, Evidence, Fail, Failure
from perijove.domain.framing import faults as framing_faults
from perijove.domain.listening import (
    BASE,
    http_listeners,
    https_listeners,
    loopback_only,
    session_host_faults,
    session_hosts,
)
from perijove.domain.page_settings import faults as page_faults
from perijove.domain.parsing import parsed, quantity, split_address
from perijove.domain.settings import LEAST_LOG, IsolationMode, Settings, home_faults
from perijove.domain.system_settings import faults as system_faults


@dataclass(frozen=True, slots=True)
class Layer:
    """Values from one source by dotted name (`session.memory`); texts are parsed to the field's type."""

    source: str
    """As people know it: `perijove.toml`, `PERIJOVE_SESSION_MEMORY`, `--http`."""
    values: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)
    """In which line of the source each of them stands, where it has lines."""

    def place(self, name: str) -> str:
        """`perijove.toml:12`: where a value stands."""
        return f"{self.source}:{self.lines[name]}" if name in self.lines else self.source


@cache
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
                raise Fail(unknown(variable, by_variable, Evidence("environment", variable)))
            layers.append(Layer(variable, {by_variable[variable]: text}))
    return tuple(layers)


def unknown(name: str, known: Iterable[str], seen: Evidence) -> Failure:
    """There is no such setting; which one may have been meant: a name like it, or its last part in another table."""
    known = list(known)
    elsewhere = [one for one in known if one.rpartition(".")[2] == name.rpartition(".")[2]]
    meant = (difflib.get_close_matches(name, known, n=2, cutoff=0.8) or elsewhere)[:2]
    return BAD_SETTINGS(
        f"there is no setting {name}" + (f" (did you mean {' or '.join(meant)}?)" if meant else ""), seen
    )


def merged(layers: Iterable[Layer]) -> tuple[Settings, Mapping[str, str]]:
    """Settings from layers, the last one wins; and each changed setting's source by name. Raises Fail: bad-settings."""
    known, values, sources = names(), dict[str, Any](), dict[str, str]()
    layers = list(layers)
    kind = next((one.values["engine.kind"] for one in reversed(layers) if "engine.kind" in one.values), "")
    if kind == EngineKind.KUBERNETES:
        layers.insert(0, Layer("engine.kind", POD_DEFAULTS))
    for layer in layers:
        for name, raw in layer.values.items():
            if name not in known:
                raise Fail(unknown(name, known, Evidence(layer.place(name), _seen(raw))))
            try:
                values[name] = parsed(known[name][2], raw)
            except ValueError as error:
                raise Fail(BAD_SETTINGS(f"{name} {error}", Evidence(layer.place(name), _seen(raw)))) from error
            sources[name] = layer.place(name)
    tables = {}
    for table, table_class in get_type_hints(Settings).items():
        own = {name.partition(".")[2]: value for name, value in values.items() if name.startswith(table + ".")}
        tables[table] = table_class(**own)
    settings = Settings(**tables)
    _check(settings, sources)
    return settings, sources


def _seen(raw: object) -> str:
    return (raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str))[:200]


SPELLED = (
    (
        "service.cors_allow_origin", r"\*|null|[a-z][a-z0-9+.-]*://[^/\s]+",
        "must be origins like https://book.example.org, without a path",
    ),
    (
        "session.lab_disabled", r"(@[A-Za-z0-9_.-]+/)?[A-Za-z0-9_.-]+(:[A-Za-z0-9_./-]+)?",
        "must name extensions like @jupyterlab/toc-extension",
    ),
)  # fmt: skip
"""Settings that are lists of what is spelled in a certain way."""


def _check(settings: Settings, sources: Mapping[str, str]) -> None:
    """What a type cannot say. Raises Fail: bad-settings."""

    def fail(name: str, why: str, saw: str) -> None:
        raise Fail(BAD_SETTINGS(f"{name} {why}", Evidence(sources.get(name, "default"), saw)))

    _check_addresses(settings, fail)
    others = [("service.session_hosts", *fault) for fault in session_host_faults(settings.service)]
    others += [("service.frame_ancestors", *fault) for fault in framing_faults(settings.service)]
    others += [(f"page.{name}", why, saw) for name, why, saw in page_faults(settings.page)]
    others += home_faults(settings.home)
    others += [("launching.classes", *fault) for fault in class_faults(settings.launching.classes)]
    apart = bool(session_hosts(settings.service) or settings.service.session_hosts)
    others += auth_faults(settings.auth, settings.service.behind, apart=apart)
    for name, why, saw in (*others, *_pod_faults(settings), *system_faults(settings.platform)):
        fail(name, why, saw)
    for name, pattern, why in SPELLED:
        for one in attrgetter(name)(settings):
            if not re.fullmatch(pattern, one):
                fail(name, why, one)
    for name in ("launching.banned", "launching.allowed", "repositories.private"):
        for pattern in attrgetter(name)(settings):
            try:
                re.compile(pattern)
            except re.error as error:
                fail(name, f"holds no regular expression: {error}", pattern)
    if settings.session.isolation is IsolationMode.NONE and not loopback_only(settings.service):
        everywhere = " ".join((*http_listeners(settings.service), *https_listeners(settings.service)))
        raise Fail(NOT_ISOLATED("the service listens beyond loopback", Evidence("service.http(s)", everywhere)))
    short_of_disk = "must be at least launching.keep_disk: launches would wait for disk that nothing is removed for"
    for name, fine, why in (
        ("build.concurrent", settings.build.concurrent >= 1, "must be at least 1"),
        ("build.keep_free", settings.build.keep_free >= settings.launching.keep_disk, short_of_disk),
        ("journal.log_size", settings.journal.log_size >= LEAST_LOG, f"must be at least {LEAST_LOG >> 10}K"),
        ("service.base", BASE.fullmatch(settings.service.base) is not None, "must be / or a path like /binder/"),
        ("session.cpus", settings.session.cpus > 0, "must be more than 0"),
    ):
        if not fine:
            value, hint = attrgetter(name)(settings), names()[name][2]
            fail(name, why, quantity(value, get_args(hint)[1]) if get_origin(hint) is Annotated else str(value))


def _pod_faults(settings: Settings) -> Iterable[tuple[str, str, str]]:
    session = settings.session
    root, home = settings.platform.root, settings.home.path
    return engine_faults(settings.engine, root, home, session.egress_allowed)


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
