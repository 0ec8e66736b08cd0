"""What do name servers say of a host now, whatever resolvers remember? In: an `Observation`. Out: its answers, renewed.

CAs ask the zone's own servers, so a record that was mended holds for them before its time in caches is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from perijove.backends.probes.names import Names
from perijove.domain.certificates import DnsSeen, Observation

FAMILIES = ("AAAA", "A")
FAILING = {"server-failure", "no-answer"}
_Told = Mapping[tuple[str, str], DnsSeen]
"""Answers by name and record."""


class ZoneServers(Protocol):
    """The servers that hold a name's zone."""

    async def ask(self, name: str, *records: str) -> tuple[DnsSeen, ...]:
        """An alias, if there is one, then an answer a record; nothing where they cannot be asked. Below a second."""
        ...

    async def texts(self, name: str) -> tuple[DnsSeen, ...]:
        """TXT records as each of them has them; as the resolvers have them where they cannot be asked."""
        ...


async def renewed(
    seen: Observation, names: Names, servers: ZoneServers
) -> tuple[tuple[DnsSeen, ...], tuple[DnsSeen, ...]]:
    """`dns` as an observation has it, by the zones' own servers, and what resolvers say otherwise, if anything."""
    now = await _told(seen, servers)
    cached = tuple(one for one in seen.dns if one.record != "CNAME" and _differs(one, now))
    aliases = [one for one in seen.dns if one.record == "CNAME"]
    if any((seen.host, record) in now for record in FAMILIES):
        aliases = [one for (_, record), one in now.items() if record == "CNAME"]
    ends = [now.get((one.name, one.record), one) for one in seen.dns if one.record in FAMILIES]
    caa = [one for one in seen.dns if one.record == "CAA"]
    if any(one.record == "CAA" for one in cached):
        known = {name: one for (name, record), one in now.items() if record == "CAA"}
        caa = list(await names.caa(caa[0].name, known))
    return (*aliases, *ends, *caa), cached


async def _told(seen: Observation, servers: ZoneServers) -> _Told:
    """What zones' own servers say to the questions that a resolver may have answered by heart.

    A resolver that fails is not passed by: it may check signatures (DNSSEC), as CAs do. CAA is asked for where there
    is any, since only what stands there can forbid.
    """
    questions: dict[str, list[str]] = {}
    forbids = any(one.values for one in seen.dns if one.record == "CAA")
    told = {one.record: one.status for one in seen.dns if one.record in FAMILIES}
    if told and not FAILING & set(told.values()):
        questions[seen.host] = list(told)
    for one in seen.dns if forbids else ():
        if one.record == "CAA" and one.status not in FAILING:
            questions.setdefault(one.name, []).append("CAA")
    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(servers.ask(name, *records), name=f"asking the zone of {name}")
            for name, records in questions.items()
        ]
    return {(one.name, one.record): one for task in asked for one in task.result()}


def _differs(old: DnsSeen, now: _Told) -> bool:
    new = now.get((old.name, old.record), old)
    return (old.status, old.values) != (new.status, new.values)
