"""What name servers say of a name: A and AAAA with the aliases on the way, and the CAA records that hold for it.

In: a name. Out: `DnsSeen`, one a question, failures as statuses. /etc/hosts is left out: no CA sees it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.resolver
import dns.ttl

from perijove.domain.certificates import DnsSeen
from perijove.domain.parsing import split_address

LIMIT = 2.0
"""Seconds until no answer counts as none; the library goes up to 0.4 s beyond."""
TRY = 0.6
"""Seconds for one server, before the next one is asked, or the same one again."""
WORDS = 500
"""Characters of a library's words that are kept."""
RESOLV_CONF = Path("/etc/resolv.conf")
RESOLVED = "127.0.0.53"
RESOLVED_CONF = Path("/run/systemd/resolve/resolv.conf")
"""The servers that systemd-resolved itself asks. It mixes /etc/hosts and this machine's own name into its answers."""
SHARED = 1.0
"""Seconds for which a parent's CAA answer holds for all names beneath it: many of them are looked at at once."""
PAYLOAD = 1232
"""Octets of an answer by UDP that no network fragments (DNS flag day 2020)."""


class Names:
    """Asks the name servers of the settings, else this machine's, which are read again whenever they change."""

    def __init__(self, resolvers: Callable[[], tuple[str, ...]], clock: Callable[[], float] = time.monotonic) -> None:
        self._resolvers = resolvers
        self._clock = clock
        self._made: tuple[object, dns.asyncresolver.Resolver] | None = None
        self._parents: dict[str, tuple[float, DnsSeen]] = {}

    async def ask(self, name: str, record: str) -> tuple[DnsSeen, ...]:
        """The aliases that the answer went through, in order, and the answer itself last."""
        resolver = self._resolver()
        asked = ", ".join(str(server) for server in resolver.nameservers).replace("Do53:", "").replace("@", ":")

        def seen(status: str, error: Exception, ttl: int = 0) -> DnsSeen:
            return DnsSeen(name, record, status, (), asked, str(error)[:WORDS], ttl)

        try:
            absolute = dns.name.from_text(name)
            answer = await resolver.resolve(absolute, record, search=False, raise_on_no_answer=False, lifetime=LIMIT)
        except dns.resolver.NXDOMAIN as error:
            response: dns.message.Message = error.response(absolute)  # type: ignore[no-untyped-call]
            return (*_aliases(response, asked), seen("no-such-name", error, _ttl(response)))
        except (dns.resolver.NoNameservers, dns.resolver.LifetimeTimeout) as error:
            answered = any(one[4] is not None for one in error.kwargs.get("errors") or ())
            return (seen("server-failure" if answered else "no-answer", error),)
        except (dns.exception.DNSException, UnicodeError) as error:  # what cannot be asked for, nobody has
            return (seen("no-such-name", error),)
        by = f"{answer.nameserver}:{answer.port}"
        values = tuple(sorted(one.to_text() for one in answer.rrset or ()))
        told = DnsSeen(name, record, "answered" if values else "no-record", values, by, ttl=_ttl(answer.response))
        return (*_aliases(answer.response, by), told)

    async def addresses(self, name: str) -> tuple[tuple[str, ...], tuple[DnsSeen, ...]]:
        """A name's addresses, IPv6 first as CAs prefer it, and the answers they stand in."""
        seen = await _together(self.ask(name, record) for record in ("AAAA", "A"))
        return tuple(value for one in seen for value in one[-1].values), tuple(told for one in seen for told in one)

    async def caa(self, name: str, known: Mapping[str, DnsSeen] = MappingProxyType({})) -> tuple[DnsSeen, ...]:
        """What the name and its parents say, up to the one that decides (RFC 8659, 3), or up to the top.

        What is `known` of names is not asked for, nor what a parent answered within the last second.
        """
        labels, now = name.split("."), self._clock()
        walk = [".".join(labels[at:]) for at in range(len(labels))]
        self._resolver()  # others are not known by what these said
        self._parents = {step: one for step, one in self._parents.items() if one[0] > now - SHARED}
        known = {step: self._parents[step][1] for step in walk[1:] if step in self._parents} | dict(known)
        asked = iter(await _together(self.ask(step, "CAA") for step in walk if step not in known))
        seen = [known[step] if step in known else next(asked)[-1] for step in walk]
        parents = zip(walk[1:], seen[1:], strict=True)
        self._parents |= {step: (now, one) for step, one in parents if step not in known and _answered(one)}
        decides = (at for at, one in enumerate(seen) if one.values or not _answered(one))
        return tuple(seen[: next(decides, len(seen)) + 1])

    def _resolver(self) -> dns.asyncresolver.Resolver:
        wanted = self._resolvers()
        key: object = wanted or [(file, _changed(file)) for file in (RESOLV_CONF, RESOLVED_CONF)]
        if self._made is None or self._made[0] != key:
            made = dns.asyncresolver.Resolver(configure=False)
            made.nameservers = [dns.nameserver.Do53Nameserver(*one) for one in _servers(wanted)]
            made.timeout, made.lifetime = TRY, LIMIT
            made.use_edns(0, 0, PAYLOAD)
            self._made, self._parents = (key, made), {}
        return self._made[1]


def _answered(one: DnsSeen) -> bool:
    return one.status not in {"server-failure", "no-answer"}


async def _together(questions: Iterable[Any]) -> list[tuple[DnsSeen, ...]]:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(one, name="a question to the name servers") for one in questions]
    return [one.result() for one in asked]


def _aliases(response: dns.message.Message, server: str) -> tuple[DnsSeen, ...]:
    assert isinstance(response, dns.message.QueryMessage)
    chain = response.resolve_chaining().cnames
    return tuple(
        DnsSeen(str(one.name).rstrip("."), "CNAME", "answered", (one[0].to_text().rstrip("."),), server)
        for one in chain
    )


def _ttl(response: dns.message.Message) -> int:
    """Seconds until the answer may be forgotten (of none: RFC 2308, 5); 0 where it does not say."""
    assert isinstance(response, dns.message.QueryMessage)
    least = response.resolve_chaining().minimum_ttl
    return least if least < dns.ttl.MAX_TTL else 0


def _servers(wanted: tuple[str, ...]) -> list[tuple[str, int]]:
    """Addresses and ports."""
    if not wanted:
        wanted = _listed(RESOLV_CONF)
        wanted = (_listed(RESOLVED_CONF) or wanted) if wanted == (RESOLVED,) else wanted or ("127.0.0.1",)
    return [_server(one) for one in wanted]


def _server(text: str) -> tuple[str, int]:
    """`ADDRESS` or `ADDRESS:PORT`. Raises ValueError."""
    try:
        return str(ip_address(text)), 53
    except ValueError:
        return split_address(text)


def _listed(file: Path) -> tuple[str, ...]:
    """The name servers of a resolv.conf(5); none where it cannot be read."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(words[1] for line in lines if (words := line.split())[:1] == ["nameserver"] and len(words) > 1)


def _changed(file: Path) -> float:
    """When it was written last; 0 where it is not there."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0
