"""A record counts as seen once every server of its zone that answers shows it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import dns.name
import pytest

from perijove.backends.dns01.visible import Visibility
from perijove.backends.dns01.zones import Zones, challenge_name
from perijove.domain.certificate_failures import DNS_NOT_VISIBLE
from perijove.domain.failures import BAD_SETTINGS, Fail, Failure
from tests.fakes.dns_zone import ZoneServer, free_on, serving

NAME = challenge_name("binder.example.org")
STANDS_AT = "_acme-challenge.binder.example.org"
ADDRESSES = ("127.83.0.1", "127.83.0.2", "127.83.0.3")
"""Of loopback; nobody else's."""
NS = "\n".join(f"@ NS ns{number}\nns{number} A {address}" for number, address in enumerate(ADDRESSES[1:], start=2))


@pytest.fixture
def servers() -> Iterator[list[ZoneServer]]:
    """Three servers of one zone on one port; the first is the resolver as well."""
    port = free_on(*ADDRESSES)
    with ExitStack() as stack:
        made = [stack.enter_context(serving(address, port)) for address in ADDRESSES]
        for one in made:
            one.add_zone("example.org.", f"binder 60 A 192.0.2.1\n{NS}")
            one.zones[dns.name.from_text("example.org.")].replace_rdataset(
                dns.name.from_text("ns1.example.org."),
                dns.rdataset.from_text("IN", "A", 60, ADDRESSES[0]),
            )
        yield made


def looking(servers: list[ZoneServer], limit: float = 30.0) -> Visibility:
    return Visibility(Zones((servers[0].where,), servers[0].port), limit)


async def until(condition: Callable[[], bool]) -> None:
    """Returns as soon as it is true, which must be soon."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def hidden(looking: Visibility) -> Failure:
    with pytest.raises(Fail) as caught:
        await looking.wait(NAME, "value")
    assert caught.value.failure.kind is DNS_NOT_VISIBLE
    return caught.value.failure


def asked(server: ZoneServer) -> int:
    return server.asked.count((STANDS_AT, "TXT"))


async def test_what_all_show_is_seen_at_once(servers: list[ZoneServer]) -> None:
    for one in servers:
        one.put(STANDS_AT, "somebody's", "value")
    began = time.monotonic()
    await looking(servers).wait(NAME, "value")
    assert time.monotonic() - began < 5
    assert [asked(one) for one in servers] == [1, 1, 1]


async def test_it_waits_for_the_last_server(servers: list[ZoneServer]) -> None:
    servers[0].put(STANDS_AT, "value")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(looking(servers).wait(NAME, "value"))
        await until(lambda: asked(servers[1]) >= 2)
        servers[1].put(STANDS_AT, "value")
        await until(lambda: asked(servers[2]) >= 5)
        assert not waiting.done()
        servers[2].put(STANDS_AT, "value")
    assert asked(servers[0]) == 1, "who showed it once is not asked again"


async def test_servers_that_lag_are_named_with_what_they_show(servers: list[ZoneServer]) -> None:
    servers[0].put(STANDS_AT, "value")
    servers[1].put(STANDS_AT, "of yesterday")
    servers[2].zones.clear()
    told = await hidden(looking(servers, limit=3))
    assert "ns2.example.org (127.83.0.2:" in told.cause
    assert "ns3.example.org (127.83.0.3:" in told.cause
    assert "ns1" not in told.cause
    assert [one.saw for one in told.evidence] == ["of yesterday", "REFUSED"]


async def test_a_server_that_never_answers_does_not_hold_up_the_others(servers: list[ZoneServer]) -> None:
    for one in servers[:2]:
        one.put(STANDS_AT, "value")
    servers[2].silent = True
    await looking(servers).wait(NAME, "value")


async def test_where_no_server_of_the_zone_can_be_reached_the_resolvers_are_asked(servers: list[ZoneServer]) -> None:
    with serving() as resolver:
        resolver.add_zone("example.org.", "binder 60 A 192.0.2.1")
        # Its ns1 is asked on a port where nothing listens.
        look = Visibility(Zones((resolver.where,), free_on("127.0.0.1")), 30)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(look.wait(NAME, "value"))
            await until(lambda: asked(resolver) >= 1)
            assert not waiting.done()
            resolver.put(STANDS_AT, "value")


async def test_an_alias_is_looked_at_where_it_leads(servers: list[ZoneServer]) -> None:
    for one in servers:
        zone = one.zones[dns.name.from_text("example.org.")]
        zone.replace_rdataset(NAME, dns.rdataset.from_text("IN", "CNAME", 60, "a.example.net."))
        one.add_zone("example.net.", "")
    servers[0].put("a.example.net", "value")
    await looking(servers).wait(NAME, "value")
    assert ("a.example.net", "TXT") in servers[0].asked


async def test_a_challenge_that_is_a_zone_of_its_own_is_looked_at_on_its_own_servers(servers: list[ZoneServer]) -> None:
    for one in servers[:2]:
        zone = one.zones[dns.name.from_text("example.org.")]
        zone.replace_rdataset(NAME, dns.rdataset.from_text("IN", "NS", 60, "ns3.example.org."))
    servers[2].add_zone(f"{STANDS_AT}.", "")
    with serving() as resolver:  # a recursive one knows both zones
        resolver.zones = dict(servers[0].zones) | dict(servers[2].zones)
        own = resolver.zones[dns.name.from_text(f"{STANDS_AT}.")]
        own.replace_rdataset(NAME, dns.rdataset.from_text("IN", "NS", 60, "ns3.example.org."))
        servers[2].put(STANDS_AT, "value")
        await Visibility(Zones((resolver.where,), servers[0].port), 30).wait(NAME, "value")
    assert asked(servers[2]) == 1
    assert asked(servers[0]) == asked(servers[1]) == 0


async def test_a_resolver_that_is_dead_is_told(servers: list[ZoneServer]) -> None:
    servers[0].silent = True
    told = await hidden(looking(servers, limit=0.5))
    assert "nobody could be asked" in told.cause
    assert told.evidence


async def test_a_look_that_nobody_waits_for_ends(servers: list[ZoneServer]) -> None:
    waiting = asyncio.create_task(looking(servers).wait(NAME, "value"))
    await until(lambda: asked(servers[2]) >= 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("text", ["ns1.example.org", "192.0.2.1:dns", "192.0.2.1:99999", "", "ns1:53"])
def test_resolvers_must_be_addresses(text: str) -> None:
    with pytest.raises(Fail) as caught:
        Zones((text,), 53)
    assert caught.value.failure.kind is BAD_SETTINGS


def test_resolvers_are_taken_with_and_without_a_port_and_from_the_machine() -> None:
    zones = Zones(("192.0.2.1", "[2001:db8::1]:5353", "2001:db8::2"), 53)
    assert [str(one) for one in zones.recursive()] == ["192.0.2.1:53", "[2001:db8::1]:5353", "[2001:db8::2]:53"]
