"""May a sandbox connect there? In: a name, its addresses, the rule; out: the address to use, or why not. Pure.

`public` is the open web: ports 80 and 443 of global unicast addresses that are not this host's or its network's.
What the operator allows beside it (`host:port`, `address/prefix:port`) overrides that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from perijove.domain.reach import Address, carried, why_not

WEB = (80, 443)
_NAME = re.compile(r"(?=.{4,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
"""Of a host in the web, as DNS knows it."""
_NEAR = frozenset(
    ("localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan", "arpa", "alt")
)
"""Last labels of names that mean what is near (RFC 6761, RFC 6762, RFC 8375, RFC 9476, and usage)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What one sandbox may reach."""

    public: bool
    allowed: tuple[str, ...]


def _split(entry: str) -> tuple[str, str]:
    host, _, port = entry.rpartition(":")
    return host.strip("[]").lower().rstrip("."), port


def _allows(entry: str, host: str, address: Address, port: int) -> bool:
    name, number = _split(entry)
    if number != str(port):
        return False
    if name == host:
        return True
    try:
        return any(one in ip_network(name, strict=False) for one in (address, carried(address)) if one is not None)
    except ValueError:
        return False


def judge_name(host: str, port: int, rule: Rule) -> str:
    """Why it may not be connected to, `` where it may: for a name that only the operator's proxy can look up."""
    host = host.lower().rstrip(".").strip("[]")
    if any(_split(entry) == (host, str(port)) for entry in rule.allowed):
        return ""
    if not rule.public:
        return f"this sandbox may only reach what the operator allows, and {host}:{port} is not among it"
    if port not in WEB:
        return f"only the ports 80 and 443 may be reached, not {port}"
    if not _NAME.fullmatch(host) or host.rpartition(".")[2] in _NEAR:
        return f"{host[:200]} cannot be resolved here, and is no name of the web"
    return ""


def judge(
    host: str, port: int, addresses: Sequence[str], rule: Rule, near: Callable[[Address], bool]
) -> tuple[str | None, str]:
    """The first address that may be connected to, or None and the reason.

    `near` tells this host's own addresses and those of its networks.
    """
    host = host.lower().rstrip(".").strip("[]")
    reason = f"{host} has no address"
    for text in addresses:
        address = ip_address(text.partition("%")[0])
        if any(_allows(entry, host, address, port) for entry in rule.allowed):
            return text, ""
        if not rule.public:
            reason = f"this sandbox may only reach what the operator allows, and {host}:{port} is not among it"
        elif port not in WEB:
            reason = f"only the ports 80 and 443 may be reached, not {port}"
        elif why := why_not(str(address)):
            reason = f"{host} is {address}, which is not a public address ({why})"
        elif any(near(one) for one in (address, carried(address)) if one is not None):
            reason = f"{host} is {address}, which belongs to this machine or its network"
        else:
            return text, ""
    return None, reason
