"""Does everybody see the record? In: a name, a value. Out: nothing, once all servers of its zone show it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from perijove.backends.dns01.zones import Place, Server, Zones, ask, followed, refusal, words
from perijove.domain.certificate_failures import DNS_NOT_VISIBLE
from perijove.domain.failures import Evidence, Fail

LIMIT = 120.0
"""Seconds that secondaries may lag."""
SILENCES = 2
"""How often a server may be asked in vain before it no longer counts: a CA goes on to the next one, too."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0


@dataclass(slots=True)
class _Seen:
    """What a server showed last."""

    shown: bool = False
    saw: str = "not asked yet"
    silences: int = 0


@dataclass(slots=True)
class _Look:
    """The servers that are asked, and what each of them showed."""

    servers: tuple[Server, ...]
    seen: dict[Server, _Seen] = field(default_factory=dict)

    @property
    def lagging(self) -> list[Server]:
        return [one for one in self.servers if not self.seen[one].shown and self.seen[one].silences < SILENCES]

    @property
    def shown(self) -> bool:
        return any(one.shown for one in self.seen.values()) and not self.lagging

    @property
    def dead(self) -> bool:
        return all(one.silences >= SILENCES for one in self.seen.values())


class Visibility:
    """Waits until a record is seen."""

    def __init__(self, zones: Zones, limit: float = LIMIT) -> None:
        self._zones, self._limit = zones, limit

    async def wait(self, name: dns.name.Name, value: str) -> None:
        """Raises Fail: `cert.dns-not-visible`, naming the servers that lag."""
        place: Place | None = None
        look: _Look | None = None
        saw = Evidence(name.to_text(omit_final_dot=True), "nobody was asked")
        try:
            async with asyncio.timeout(self._limit):
                pause = FIRST_PAUSE
                while True:
                    try:
                        place = place or await self._zones.place(name)
                        look = await self._watched(place, value, look)
                    except dns.exception.DNSException as error:
                        saw = Evidence(name.to_text(omit_final_dot=True), words(error))
                    if look is not None and look.shown:
                        return
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, LONGEST_PAUSE)
        except TimeoutError as error:
            raise self._told(name, look, saw) from error

    async def _watched(self, place: Place, value: str, before: _Look | None) -> _Look:
        """All servers asked at once; the resolvers in place of servers that all keep silent."""
        servers = place.servers or self._zones.recursive()
        if before is not None and before.dead:
            servers = self._zones.recursive()
        look = _Look(servers, {one: before.seen[one] if before and one in before.seen else _Seen() for one in servers})
        async with asyncio.TaskGroup() as group:
            for server in servers:
                if not look.seen[server].shown:
                    group.create_task(_asked(server, place.name, value, look.seen[server]), name=f"asking {server}")
        return look

    def _told(self, name: dns.name.Name, look: _Look | None, saw: Evidence) -> Fail:
        lagging = look.lagging or list(look.servers) if look is not None else []
        record = f"the TXT record of {name.to_text(omit_final_dot=True)}"
        if look is None or not lagging:
            return Fail(DNS_NOT_VISIBLE(f"nobody could be asked for {record} within {self._limit:.0f} s", saw))
        names = ", ".join(map(str, lagging[:3])) + (f" and {len(lagging) - 3} more" if len(lagging) > 3 else "")
        verb = "do not show" if len(lagging) > 1 else "does not show"
        seen = [Evidence(str(one), look.seen[one].saw) for one in lagging[:8]]
        return Fail(DNS_NOT_VISIBLE(f"{names} {verb} {record} after {self._limit:.0f} s", *seen))


async def _asked(server: Server, name: dns.name.Name, value: str, seen: _Seen) -> None:
    try:
        told = await ask(server, name, dns.rdatatype.TXT)
    except dns.exception.Timeout as error:
        seen.silences, seen.saw = seen.silences + 1, words(error)
        return
    except (OSError, dns.exception.DNSException) as error:
        seen.silences, seen.saw = SILENCES, words(error)
        return
    values = texts(told, name)
    seen.silences, seen.shown = 0, value in values
    seen.saw = refusal(told) or ", ".join(values)[:500] or f"{dns.rcode.to_text(told.rcode())}, no TXT record"


def texts(told: dns.message.Message, name: dns.name.Name) -> list[str]:
    """The TXT records of a name in an answer, each as one text."""
    found = told.get_rrset(dns.message.ANSWER, followed(told, name), dns.rdataclass.IN, dns.rdatatype.TXT)
    return [b"".join(one.strings).decode("ascii", "replace") for one in found or ()]
