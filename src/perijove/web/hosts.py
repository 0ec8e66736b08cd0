"""By which names may the service be asked for? In: a name, the settings, this machine's name. Out: yes or no. Pure.

A page of any site can lead its own name to our address (DNS rebinding), and its scripts then read what we answer: so
even a service that was given no names answers to those alone that nobody else can lead to it.
"""

from __future__ import annotations

from ipaddress import ip_address

from perijove.domain.certificates import HostName
from perijove.domain.listening import loopback_only, named_session_hosts
from perijove.domain.settings import ServiceSettings

MACHINES = "It answers to this machine's own name and IP addresses; the operator lists other names in service.hosts."
LOOPBACKS = "It answers as localhost and 127.0.0.1; whoever runs it lists other names in service.hosts."


def listed(name: str, service: ServiceSettings) -> HostName:
    """The one of the service's hosts and sessions' that this name is, as the settings write it; `` for none of them."""
    known = {host.lower().strip("[]"): host for host in (*service.hosts, *named_session_hosts(service))}
    return known.get(name) or known.get(f"*.{name.partition('.')[2]}", "")


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
    return None if _is_address(name) or name in names else MACHINES


def _is_loopback(name: str) -> bool:
    """RFC 6761, 6.3: names below `localhost` never leave this machine."""
    return name == "localhost" or name.endswith(".localhost") or (_is_address(name) and ip_address(name).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
