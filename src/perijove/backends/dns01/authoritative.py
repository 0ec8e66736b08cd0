"""What do a zone's own servers say of a host, whatever resolvers remember? In: names. Out: `DnsSeen`, or nothing.

CAs ask these servers. Who looks at hosts is given this by wiring.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from perijove.backends.dns01.zones import Place, Server, Zones, ask, followed, refusal
from perijove.domain.certificates import DnsSeen

LIMIT = 0.7
"""Seconds for all questions: in many networks nobody but the resolvers can be asked, which shows by silence."""
GRACE = 0.2
"""Seconds for the others once one server has answered."""
MOST = 8
"""Servers of a zone that are asked."""


class Authoritative:
    """Finds the servers by the resolvers of the settings, and asks them on `port`."""

    def __init__(self, resolvers: Callable[[], tuple[str, ...]], port: int = 53) -> None:
        self._resolvers, self._port = resolvers, port

    async def ask(self, name: str, *records: str) -> tuple[DnsSeen, ...]:
        """Where aliases end, if there are any, then an answer a record.

        Nothing where the servers cannot be asked within `LIMIT`, or do not agree yet: a CA may ask any of them.
        Raises Fail: `platform.bad-settings`.
        """
        zones = Zones(self._resolvers(), self._port)
        try:
            async with asyncio.timeout(LIMIT):
                place = await zones.place(dns.name.from_text(name), public=True)
                async with asyncio.TaskGroup() as group:
                    asked = [group.create_task(_agreed(place, name, one), name=f"{one} of {name}") for one in records]
        except (TimeoutError, dns.exception.DNSException, UnicodeError):
            return ()
        told = [task.result() for task in asked]
        answers = [one for one in told if one is not None]
        if len(answers) < len(records):
            return ()
        end = place.name.to_text(omit_final_dot=True)
        alias = DnsSeen(name, "CNAME", "answered", (end,), answers[0].server)
        return (alias, *answers) if end.lower() != name.lower() else tuple(answers)


async def _agreed(place: Place, name: str, record: str) -> DnsSeen | None:
    """What all servers say that answer at once; None where none does, or they differ."""
    asked = [
        asyncio.create_task(_answer(one, place.name, name, record), name=f"asking {one}")
        for one in place.servers[:MOST]
    ]
    answers: list[DnsSeen] = []
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as patience:
                for told in asyncio.as_completed(asked):
                    if (answer := await told) is None:
                        continue
                    answers.append(answer)
                    if len(answers) == 1:
                        patience.reschedule(asyncio.get_running_loop().time() + GRACE)
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    alike = {(one.status, one.values) for one in answers}
    return answers[0] if len(alike) == 1 else None


async def _answer(server: Server, end: dns.name.Name, name: str, record: str) -> DnsSeen | None:
    """One server's answer; None for silence, and from who does not hold the zone."""
    try:
        told = await ask(server, end, dns.rdatatype.from_text(record))
    except (OSError, dns.exception.DNSException):
        return None
    if refusal(told) or not told.flags & dns.flags.AA:
        return None
    rrset = told.get_rrset(dns.message.ANSWER, followed(told, end), dns.rdataclass.IN, dns.rdatatype.from_text(record))
    values = tuple(sorted(one.to_text() for one in rrset or ()))
    missing = "no-such-name" if told.rcode() == dns.rcode.NXDOMAIN else "no-record"
    return DnsSeen(name, record, "answered" if values else missing, values, f"{server.address}:{server.port}")
