"""Providers of dns-lexicon: options that nobody knows, credentials that are refused and never shown."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perijove.backends.dns01.lexicon_provider import LexiconProvider
from perijove.backends.dns01.zones import Zones, challenge_name
from perijove.domain.certificate_failures import DNS_PROVIDER_FAILED
from perijove.domain.failures import BAD_SETTINGS, Fail, Failure
from tests.fakes.dns_zone import ZoneServer, serving
from tests.fakes.powerdns import powerdns

NAME = challenge_name("binder.example.org")
STANDS_AT = "_acme-challenge.binder.example.org"
TOKEN = "s3cret/t0ken"


@pytest.fixture
def zone() -> Iterator[ZoneServer]:
    with serving() as server:
        server.add_zone("example.org.", "binder 60 A 192.0.2.1")
        yield server


@pytest.fixture
def api(zone: ZoneServer) -> Iterator[str]:
    with powerdns(zone, TOKEN) as url:
        yield url


def provider(zone: ZoneServer, options: dict[str, str], limit: float = 20.0) -> LexiconProvider:
    return LexiconProvider("powerdns", options, Zones((zone.where,), zone.port), limit)


def nonsense(make: Callable[[], object]) -> Failure:
    with pytest.raises(Fail) as caught:
        make()
    assert caught.value.failure.kind is BAD_SETTINGS
    return caught.value.failure


async def failed(asked: LexiconProvider) -> Failure:
    with pytest.raises(Fail) as caught:
        await asked.add(NAME, "value")
    assert caught.value.failure.kind is DNS_PROVIDER_FAILED
    return caught.value.failure


async def test_a_record_is_written_in_the_zone_the_name_servers_tell(zone: ZoneServer, api: str) -> None:
    zone.add_zone("binder.example.org.", "")
    await provider(zone, {"pdns_server": api, "auth_token": TOKEN, "ttl": "600"}).add(NAME, "value")
    assert zone.texts(STANDS_AT) == ["value"]
    assert len(zone.zones) == 2


async def test_an_alias_is_written_where_it_leads(zone: ZoneServer, api: str) -> None:
    zone.add_zone("example.org.", "_acme-challenge.binder CNAME a.b.example.net.")
    zone.add_zone("example.net.", "")
    await provider(zone, {"pdns_server": api, "auth_token": TOKEN}).add(NAME, "value")
    assert zone.texts("a.b.example.net") == ["value"]


async def test_refused_credentials_are_told_in_the_provider_s_words_and_not_shown(
    zone: ZoneServer, api: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("wrong/one\n")
    told = await failed(provider(zone, {"pdns_server": api, "auth_token_file": str(tmp_path / "token")}))
    assert "401" in told.cause
    assert told.evidence[0].where == "powerdns, zone example.org"
    assert "the key … is not known" in told.evidence[0].saw
    assert "wrong/one" not in str(told)


async def test_a_credential_that_is_missing_or_an_api_that_is_down_is_told(zone: ZoneServer, api: str) -> None:
    assert "auth_token" in (await failed(provider(zone, {"pdns_server": api}))).cause
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        told = await failed(provider(zone, {"pdns_server": url, "auth_token": TOKEN}))
    assert "refused" in told.evidence[0].saw
    assert TOKEN not in str(told)


async def test_an_api_that_never_answers_is_not_waited_for(zone: ZoneServer) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        told = await failed(provider(zone, {"pdns_server": url, "auth_token": TOKEN}, limit=0.3))
        assert "did not answer within" in told.cause
        assert [one.daemon for one in threading.enumerate() if one.name == "dns-lexicon"] == [True]
    for one in threading.enumerate():
        if one.name == "dns-lexicon":
            await asyncio.to_thread(one.join, 20)
            assert not one.is_alive()


async def test_a_zone_that_no_name_server_knows_is_told(zone: ZoneServer, api: str) -> None:
    zone.zones.clear()
    told = await failed(provider(zone, {"pdns_server": api, "auth_token": TOKEN}))
    assert "zone of _acme-challenge.binder.example.org" in told.cause


def test_a_provider_nobody_has_is_told(zone: ZoneServer) -> None:
    zones = Zones((zone.where,), zone.port)
    assert "nosuchdns" in nonsense(lambda: LexiconProvider("nosuchdns", {}, zones)).cause
    assert "route53" in nonsense(lambda: LexiconProvider("route53", {}, zones)).cause, "it lacks a library of its own"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        pytest.param({"auth_tokn": "x"}, "auth_token", id="misspelt"),
        pytest.param({"auth_tokn_file": "/x"}, "auth_token", id="misspelt, from a file"),
        pytest.param({"auth_token_file": "/nonexistent/token"}, "cannot be read", id="a file that is not there"),
        pytest.param({"ttl": "soon"}, "ttl", id="a ttl that is no number"),
    ],
)
def test_nonsense_is_told_before_anything_is_asked(zone: ZoneServer, options: dict[str, str], word: str) -> None:
    assert word in nonsense(lambda: provider(zone, options)).cause


def test_an_option_whose_own_name_ends_in_file_is_the_provider_s(zone: ZoneServer) -> None:
    made = LexiconProvider("powerdns", {"pdns_server_id": "localhost"}, Zones((zone.where,), zone.port))
    assert made
