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

from perijove.backends.dns01.visible import texts
from perijove.backends.dns01.zones import Place, Server, Zones, ask, followed, refusal, words
from perijove.domain.certificates import DnsSeen

LIMIT = 0.7
"""Seconds for all questions: in many networks nobody but the resolvers can be asked, which shows by silence."""
TEXTS_LIMIT = 2.5
"""Seconds for TXT records by a zone's own servers, and as many for the resolvers where those say nothing."""
GRACE = 0.2
"""Seconds for the others once one server has answered."""
MOST = 8
"""Servers of a zone that are asked."""
MOST_TEXTS, TEXT = 50, 1000
"""TXT records of a name that are kept, and characters of each."""


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

    async def texts(self, name: str) -> tuple[DnsSeen, ...]:
        """The TXT records of a name as each server of its zone has them, or the resolvers where none answers.

        Silence, and who is not heard within `TEXTS_LIMIT`, is told as `no-answer`, a name that DNS cannot have as
        `no-such-name`. Raises Fail: `platform.bad-settings`.
        """
        zones, told = Zones(self._resolvers(), self._port), tuple[DnsSeen, ...]()
        try:
            owner = dns.name.from_text(name)
        except (dns.exception.DNSException, UnicodeError) as error:
            return (DnsSeen(name, "TXT", "no-such-name", (), "nobody was asked", str(error)),)
        # Whoever cannot say whose zone it is may know the record.
        with contextlib.suppress(dns.exception.DNSException, TimeoutError):
            async with asyncio.timeout(TEXTS_LIMIT):
                place = await zones.place(owner)
                told = await _texts_by(place.servers[:MOST], place.name, name)
        if all(one.status == "no-answer" for one in told):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TEXTS_LIMIT):
                    told = await _texts_by(zones.recursive(), owner, name) or told
        return told or (DnsSeen(name, "TXT", "no-answer", (), "the resolvers", f"within {TEXTS_LIMIT:g} s"),)


async def _texts_by(servers: tuple[Server, ...], end: dns.name.Name, name: str) -> tuple[DnsSeen, ...]:
    """All of these servers, asked at once."""
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_texts(one, end, name), name=f"asking {one}") for one in servers]
    return tuple(task.result() for task in asked)


async def _texts(server: Server, end: dns.name.Name, name: str) -> DnsSeen:
    where = f"{server.address}:{server.port}"
    try:
        told = await ask(server, end, dns.rdatatype.TXT)
    except (OSError, dns.exception.DNSException) as error:
        return DnsSeen(name, "TXT", "no-answer", (), where, words(error))
    if refused := refusal(told):
        return DnsSeen(name, "TXT", "server-failure", (), where, refused)
    values = tuple(one[:TEXT] for one in sorted(texts(told, end))[:MOST_TEXTS])
    missing = "no-such-name" if told.rcode() == dns.rcode.NXDOMAIN else "no-record"
    return DnsSeen(name, "TXT", "answered" if values else missing, values, where)


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
