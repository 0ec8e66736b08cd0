"""By which names may the service be asked for? In: a name, the settings, this machine's name. Out: yes or no. Pure.

A page of any site can lead its own name to our address (DNS rebinding), and its scripts then read what we answer: so
even a service that was given no names answers to those alone that nobody else can lead to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.requests import Request

from perijove.domain.certificates import HostName, is_address
from perijove.domain.listening import LOCAL_SESSIONS, loopback_only, named_session_hosts, session_hosts
from perijove.domain.settings import ServiceSettings
from perijove.web.requests import asked_host

MACHINES = "It answers to this machine's own name and IP addresses; the operator lists other names in service.hosts."
LOOPBACKS = "It answers as localhost and 127.0.0.1; whoever runs it lists other names in service.hosts."


def listed(name: str, service: ServiceSettings) -> HostName:
    """The one of the service's hosts and sessions' that this name is, as the settings write it; `` for none of them."""
    known = {host.lower().strip("[]"): host for host in (*service.hosts, *named_session_hosts(service))}
    return known.get(name) or known.get(f"*.{name.partition('.')[2]}", "")


def of_a_session(name: str, service: ServiceSettings) -> bool:
    """Whether sessions are opened at this name, and the service is not."""
    there = session_hosts(service)
    return name not in _lower(service.hosts) and not _lower(there).isdisjoint((name, f"*.{name.partition('.')[2]}"))


def _lower(names: Iterable[str]) -> set[str]:
    return {name.lower() for name in names}


def refusal(name: str, service: ServiceSettings, machine: str) -> str | None:
    """The remedy for whoever asks by this name, `` for the catalogue's own; None where they may."""
    if service.hosts and not listed(name, service):
        return ""
    if listed(name, service) or _is_loopback(name):
        return None
    if loopback_only(service):
        return LOOPBACKS
    own = machine.lower()
    names = {own, own.partition(".")[0], f"{own.partition('.')[0]}.local"}
    return None if is_address(name) or name in names else MACHINES


def led_on(request: Request, service: ServiceSettings) -> str:
    """Where a browser goes on to that came by an address of loopback; `` for all others.

    Sessions at hosts below `localhost` lead back to `localhost`, and a launch's key is kept for one host alone.
    """
    by_address = asked_host(request) in ("127.0.0.1", "::1") and session_hosts(service) == (LOCAL_SESSIONS,)
    if not by_address or request.headers.get("sec-fetch-mode") != "navigate":
        return ""
    port = re.search(r"(?::[0-9]+)?$", request.headers["host"].rpartition("]")[2])
    path, query = request.scope["raw_path"].partition(b"?")[0].decode("latin-1"), request.url.query
    return f"//localhost{port[0] if port else ''}{service.base.rstrip('/')}{path}{'?' * bool(query)}{query}"


def _is_loopback(name: str) -> bool:
    """RFC 6761, 6.3: names below `localhost` never leave this machine."""
    return name == "localhost" or name.endswith(".localhost") or (is_address(name) and ip_address(name).is_loopback)
