"""Dynamic updates: which zone, which name, and what a server says that does not take them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.name
import dns.rcode
import pytest

from perijove.backends.dns01.rfc2136 import Rfc2136
from perijove.backends.dns01.zones import Zones, challenge_name
from perijove.domain.certificate_failures import DNS_UPDATE_REFUSED
from perijove.domain.failures import BAD_SETTINGS, Fail, Failure
from tests.fakes.dns_zone import KEY_NAME, ZoneServer, new_key, serving

NAME = challenge_name("binder.example.org")
STANDS_AT = "_acme-challenge.binder.example.org"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "key"


@pytest.fixture
def zone(key_file: Path) -> Iterator[ZoneServer]:
    key, text = new_key()
    key_file.write_text(text + "\n")
    with serving(key=key) as server:
        server.add_zone("example.org.", "binder 60 A 192.0.2.1")
        yield server


def writer(zone: ZoneServer, key: Path, options: dict[str, str] | None = None) -> Rfc2136:
    given = {"server": zone.where, "key_name": KEY_NAME, "key_file": str(key)} | (options or {})
    return Rfc2136({name: text for name, text in given.items() if text}, Zones((zone.where,), zone.port))


async def refused(asked: Rfc2136) -> Failure:
    with pytest.raises(Fail) as caught:
        await asked.add(NAME, "value")
    assert caught.value.failure.kind is DNS_UPDATE_REFUSED
    assert caught.value.failure.evidence[0].saw
    return caught.value.failure


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "HMAC-SHA512"])
async def test_a_key_may_be_of_another_algorithm_or_written_as_tsig_keygen_does(
    zone: ZoneServer, key_file: Path, algorithm: str
) -> None:
    assert zone.key is not None
    zone.key.algorithm = dns.name.from_text(algorithm.lower())
    await writer(zone, key_file, {"algorithm": algorithm}).add(NAME, "first")
    text = base64.b64encode(zone.key.secret).decode()
    key_file.write_text(f'key "{KEY_NAME}" {{\n  algorithm {algorithm.lower()};\n  secret "{text}";\n}};\n')
    await writer(zone, key_file, {"key_name": ""}).add(NAME, "second")
    assert zone.texts(STANDS_AT) == ["first", "second"]


async def test_a_name_that_is_an_alias_is_written_where_it_leads(zone: ZoneServer, key_file: Path) -> None:
    zone.add_zone("example.org.", "_acme-challenge.binder CNAME a.example.net.")
    zone.add_zone("example.net.", "a CNAME b.c.example.net.")
    await writer(zone, key_file).add(NAME, "value")
    assert zone.texts("b.c.example.net") == ["value"]
    await writer(zone, key_file).remove(NAME, "value")
    assert zone.texts("b.c.example.net") == []


async def test_aliases_in_a_circle_are_told(zone: ZoneServer, key_file: Path) -> None:
    zone.add_zone("example.org.", "_acme-challenge.binder CNAME a\na CNAME _acme-challenge.binder")
    assert "CNAME" in (await refused(writer(zone, key_file))).cause


async def test_the_zone_is_the_nearest_one_or_the_one_that_is_set(zone: ZoneServer, key_file: Path) -> None:
    zone.add_zone("binder.example.org.", "")
    await writer(zone, key_file).add(NAME, "nearest")
    assert zone.texts(STANDS_AT) == ["nearest"]
    outer = zone.zones[dns.name.from_text("example.org.")]
    await writer(zone, key_file, {"zone": "example.org"}).add(NAME, "as set")
    assert outer.get_rdataset(NAME, "TXT") is not None
    told = await refused(writer(zone, key_file, {"zone": "example.net"}))
    assert "does not lie in the zone example.net" in told.cause


async def test_a_server_known_by_its_name_is_found(zone: ZoneServer, key_file: Path) -> None:
    await writer(zone, key_file, {"server": f"ns1.example.org:{zone.port}"}).add(NAME, "value")
    assert zone.texts(STANDS_AT) == ["value"]
    told = await refused(writer(zone, key_file, {"server": f"ns9.example.org:{zone.port}"}))
    assert "no address" in told.cause


@pytest.mark.parametrize("rcode", ["REFUSED", "NOTAUTH", "SERVFAIL", "NOTZONE"])
async def test_what_the_server_answers_is_told(zone: ZoneServer, key_file: Path, rcode: str) -> None:
    zone.refuses = dns.rcode.from_text(rcode)
    told = await refused(writer(zone, key_file))
    assert f"answers {rcode} for example.org" in told.cause
    assert rcode in told.evidence[0].saw
    assert told.evidence[0].where == zone.where


async def test_an_update_without_a_key_is_refused_by_a_server_that_wants_one(zone: ZoneServer, key_file: Path) -> None:
    assert "REFUSED" in (await refused(writer(zone, key_file, {"key_name": "", "key_file": ""}))).cause
    assert zone.texts(STANDS_AT) == []


async def test_another_key_and_an_unknown_one_are_told_apart(zone: ZoneServer, key_file: Path) -> None:
    assert "BADKEY" in (await refused(writer(zone, key_file, {"key_name": "somebody."}))).cause
    key_file.write_text(base64.b64encode(bytes(32)).decode())
    assert "BADSIG" in (await refused(writer(zone, key_file))).cause
    assert zone.texts(STANDS_AT) == []


async def test_a_zone_that_the_server_does_not_hold_is_told(zone: ZoneServer, key_file: Path) -> None:
    zone.zones.clear()
    assert "REFUSED when asked for the zone of" in (await refused(writer(zone, key_file))).cause


async def test_a_server_that_does_not_answer_is_told(zone: ZoneServer, key_file: Path) -> None:
    zone.silent = True
    assert "does not answer" in (await refused(writer(zone, key_file))).cause
    with serving() as gone:
        where = gone.where
    assert "does not answer" in (await refused(writer(zone, key_file, {"server": where}))).cause


@pytest.mark.parametrize(
    ("options", "word"),
    [
        pytest.param({"server": ""}, "server", id="no server"),
        pytest.param({"server": "ns1:dns"}, "server", id="no port"),
        pytest.param({"key_file": ""}, "key_file", id="a name without a key"),
        pytest.param({"key_name": ""}, "key_name", id="a key without a name"),
        pytest.param({"key_file": "/nonexistent/key"}, "cannot be read", id="a key that is not there"),
        pytest.param({"algorithm": "rot13"}, "hmac-sha256", id="an algorithm nobody has"),
        pytest.param({"zone": "a..b"}, "zone", id="a zone that is no name"),
        pytest.param({"nameserver": "192.0.2.1"}, "nameserver", id="an option nobody knows"),
    ],
)
def test_nonsense_is_told_before_anything_is_asked(
    zone: ZoneServer, key_file: Path, options: dict[str, str], word: str
) -> None:
    assert word in nonsense(lambda: writer(zone, key_file, options)).cause


@pytest.mark.parametrize("content", ["my thesis!", 'key "other." { secret "YQ=="; };', "key { }"])
def test_a_file_that_holds_no_key_or_another_one_is_told_and_not_shown(
    zone: ZoneServer, key_file: Path, content: str
) -> None:
    key_file.write_text(content)
    told = nonsense(lambda: writer(zone, key_file))
    assert content not in told.message + told.evidence[0].saw


def nonsense(make: Callable[[], object]) -> Failure:
    with pytest.raises(Fail) as caught:
        make()
    assert caught.value.failure.kind is BAD_SETTINGS
    return caught.value.failure
