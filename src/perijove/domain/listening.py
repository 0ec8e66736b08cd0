"""Where the service listens, and by which address it is reached. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from ipaddress import ip_address
from typing import Protocol

from perijove.domain.parsing import bracketed, split_address

OFF = "off"
UDP = "udp/"
"""Before addresses at which datagrams are waited for."""
LOCAL_SESSIONS = "*.localhost"
"""Browsers ask nobody where these names are: this machine (RFC 6761, 6.3)."""
BASE = re.compile(r"/(?!-/)(?:(?!\.{1,2}/)[A-Za-z0-9._~-]{1,60}/){0,5}")
"""A path's unreserved characters (RFC 3986, 2.3), so that it is spelled in one way; `/-/` begins our static files."""
MARK = "--"
"""Stands in a session's name before the first label of its host, where there is a list of them; nowhere else."""
SESSION_HOST = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
"""A name in lower case, as DNS knows it, or a wildcard; no address."""
SESSION_LABEL = re.compile(r"(?=.{1,20}$)[a-z0-9]+(-[a-z0-9]+)*")
"""It stands in the names of the sessions that are opened there."""
MOST_SESSION_HOSTS = 100
"""Names that a certificate holds at most (Let's Encrypt's rate limits, 2026-11)."""


class ServiceConfig(Protocol):
    """What the operator says of it: the table `service` of the settings."""

    @property
    def http(self) -> tuple[str, ...]: ...
    @property
    def https(self) -> tuple[str, ...]: ...
    @property
    def http3(self) -> bool: ...
    @property
    def hosts(self) -> tuple[str, ...]: ...
    @property
    def session_hosts(self) -> tuple[str, ...]: ...
    @property
    def behind(self) -> tuple[str, ...]: ...
    @property
    def base(self) -> str: ...


def http_listeners(config: ServiceConfig) -> tuple[str, ...]:
    """`ADDRESS:PORT`s for http."""
    if config.http:
        return config.http
    return ("0.0.0.0:80", "[::]:80") if config.hosts and not config.behind else ("127.0.0.1:8000",)


def https_listeners(config: ServiceConfig) -> tuple[str, ...]:
    """`ADDRESS:PORT`s for https; none where it is off, or where only an http address was asked for."""
    if config.https:
        return tuple(address for address in config.https if address != OFF)
    if config.hosts and not config.behind:
        return ("0.0.0.0:443", "[::]:443")
    return ("127.0.0.1:8443",) if config.behind or not config.http else ()


def quic_listeners(config: ServiceConfig) -> tuple[str, ...]:
    """Where https is spoken over UDP too: `udp/ADDRESS:PORT`s. Whoever stands in front speaks to browsers itself."""
    return tuple(UDP + address for address in https_listeners(config)) if config.http3 and not config.behind else ()


def certified_hosts(config: ServiceConfig) -> tuple[tuple[str, ...], ...]:
    """Names that need a certificate, those of one together: each host's alone, all sessions' in one.

    Without names of its own, the service is `localhost`.
    """
    if not https_listeners(config):
        return ()
    alone = tuple((host,) for host in config.hosts or ("localhost",))
    return (*alone, named) if (named := named_session_hosts(config)) else alone


def named_session_hosts(config: ServiceConfig) -> tuple[str, ...]:
    """Those that the operator gave: a wildcard, or names that differ in their first label alone."""
    return () if config.session_hosts == (OFF,) else config.session_hosts


def session_hosts(config: ServiceConfig) -> tuple[str, ...]:
    """Names at which browsers open sessions, each an origin of its own; none: they share the service's."""
    local = not config.session_hosts and not config.hosts and loopback_only(config)
    return (LOCAL_SESSIONS,) if local else named_session_hosts(config)


def session_labels(config: ServiceConfig, certified: Collection[str] = ()) -> tuple[str, ...]:
    """The first labels of a list of session hosts; none where each session has its own name below a wildcard.

    Where some of them are `certified` already, of those alone: browsers cannot open the others.
    """
    named = [host for host in named_session_hosts(config) if not host.startswith("*.")]
    usable = [host for host in named if host in certified] or named
    return tuple(host.partition(".")[0] for host in usable)


def session_host_faults(config: ServiceConfig) -> Iterator[tuple[str, str]]:
    """What is wrong with the hosts that the operator gave: why, and where it stands."""
    named = named_session_hosts(config)
    for number, host in enumerate(named):
        if not SESSION_HOST.fullmatch(host):
            yield "must hold names like s1.example.org or *.run.example.org", host
        if host in config.hosts:
            yield "must not hold names of service.hosts: sessions would share its origin", host
        if host in named[:number]:
            yield "holds a name twice", host
    if len(named) > MOST_SESSION_HOSTS:
        why = f"must hold {MOST_SESSION_HOSTS} names at most, since CAs put no more into a certificate; use a wildcard"
        yield why, f"{len(named)} names"
    if len({host.partition(".")[2] for host in named}) > 1 or (len(named) > 1 and any("*" in host for host in named)):
        yield "must be one wildcard, or names that differ in their first label alone", ", ".join(named)
    for label in session_labels(config):
        if not SESSION_LABEL.fullmatch(label):
            yield "must begin with labels of 20 letters, digits and single hyphens", label


def session_origin(config: ServiceConfig, origin: str, session: str) -> str:
    """Where a session is opened by whoever reached the service at `origin` (`https://binder.example.org:8443`).

    On loopback that is the same: Caddy leads browsers on, and programs often cannot look up names like `x.localhost`.
    """
    named = named_session_hosts(config)
    label = session.partition(MARK)[2] if session_labels(config) else session
    if not named or not label:
        return origin
    scheme, _, authority = origin.partition("://")
    _, colon, port = authority.rpartition("]")[2].partition(":")
    return f"{scheme}://{label}.{named[0].partition('.')[2]}{colon}{port}"


def service_origin(config: ServiceConfig, origin: str) -> str:
    """The service's own origin for whoever reached a session's host at `origin`; the same for all others."""
    scheme, _, authority = origin.partition("://")
    name, colon, port = authority.lower().partition(":")
    if name in config.hosts or not {name, f"*.{name.partition('.')[2]}"} & set(session_hosts(config)):
        return origin
    return own_origin(config) if named_session_hosts(config) else f"{scheme}://localhost{colon}{port}"


def redirects(config: ServiceConfig) -> bool:
    """Whether http leads to https: with names, unless somebody in front decides."""
    return bool(config.hosts and https_listeners(config) and not config.behind)


def loopback_only(config: ServiceConfig) -> bool:
    """Whether nobody but this machine can reach the service."""
    if config.behind:
        return False
    hosts = [split_address(address)[0] for address in (*http_listeners(config), *https_listeners(config))]
    return all(host == "localhost" or (host != "" and ip_address(host).is_loopback) for host in hosts)


def own_url(config: ServiceConfig) -> str:
    """The service's own address with its slash, by its first name where it has one."""
    return own_origin(config) + config.base


def own_origin(config: ServiceConfig) -> str:
    """The same without its path, `https://binder.example.org`."""
    if not config.hosts:
        return listening_origin(config)
    name = next((host for host in config.hosts if not host.startswith("*.")), config.hosts[0].replace("*", "www", 1))
    name = bracketed(name)
    if config.behind:
        return f"https://{name}"
    if https := https_listeners(config):
        return f"https://{name}{_port(https[0], 443)}"
    return f"http://{name}{_port(http_listeners(config)[0], 80)}"


def listening_origin(config: ServiceConfig) -> str:
    """Where this machine itself reaches the service by http, whatever its names mean elsewhere."""
    return f"http://{here(http_listeners(config)[0]).removesuffix(':80')}"


def here(address: str) -> str:
    """`0.0.0.0:443` → `127.0.0.1:443`: how this machine itself reaches a listener."""
    host, port = split_address(address)
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host) or bracketed(host)
    return f"{name}:{port}"


def _port(address: str, usual: int) -> str:
    port = split_address(address)[1]
    return "" if port == usual else f":{port}"
