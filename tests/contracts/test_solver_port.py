"""The port Solver for dns-01: each way of writing records puts up ours beside others', and takes down only ours."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from perijove.backends.dns01.solver import dns_solver, record_value
from perijove.domain.certificate_failures import NO_CHALLENGE
from perijove.domain.certificate_ports import Solver
from perijove.domain.certificate_settings import CertificatesSettings
from perijove.domain.certificates import ChallengeAnswer, ChallengeType
from perijove.domain.failures import Fail
from tests.fakes.dns_zone import KEY_NAME, ZoneServer, new_key, serving
from tests.fakes.powerdns import powerdns

pytestmark = pytest.mark.same_for_any_user

HOOK = """#!{python}
import json, os, sys, urllib.request
what, name, value = sys.argv[1], os.environ["PERIJOVE_DNS_NAME"], os.environ["PERIJOVE_DNS_VALUE"]
body = json.dumps({{"what": what, "name": name, "value": value}}).encode()
urllib.request.urlopen(urllib.request.Request("{url}/hook", body), timeout=20).read()
"""


def answer(host: str, number: int = 1) -> ChallengeAnswer:
    return ChallengeAnswer(host, ChallengeType.DNS, f"token{number}", f"token{number}.thumbprint", "https://ca/dir")


@dataclass
class Site:
    """A zone and a solver for it."""

    zone: ZoneServer
    solver: Solver


@contextmanager
def updated(folder: Path) -> Iterator[Site]:
    key, text = new_key()
    (folder / "key").write_text(text)
    with serving(key=key) as zone:
        options = {"server": zone.where, "key_name": KEY_NAME, "key_file": str(folder / "key")}
        yield site(zone, "rfc2136", options)


@contextmanager
def provided(folder: Path) -> Iterator[Site]:
    with serving() as zone, powerdns(zone, token="s3cret-t0ken") as url:
        (folder / "token").write_text("s3cret-t0ken\n")
        yield site(zone, "powerdns", {"pdns_server": url, "auth_token_file": str(folder / "token")})


@contextmanager
def hooked(folder: Path) -> Iterator[Site]:
    with serving() as zone, powerdns(zone, token="") as url:
        hook = folder / "hook"
        hook.write_text(HOOK.format(python=sys.executable, url=url))
        hook.chmod(0o755)
        yield site(zone, f"hook:{hook}", {})


def site(zone: ZoneServer, who: str, options: dict[str, str]) -> Site:
    zone.add_zone("example.org.", 'binder 60 A 192.0.2.1\nwiki 60 TXT "ours"')
    settings = CertificatesSettings(dns=who, dns_options=options, resolvers=(zone.where,))
    solver = dns_solver(settings, limit=20, port=zone.port)
    return Site(zone, solver)


WAYS = [
    pytest.param(updated, id="rfc2136"),
    pytest.param(provided, id="a provider of dns-lexicon"),
    pytest.param(hooked, id="a hook"),
]


@pytest.fixture(params=WAYS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    make: Callable[[Path], AbstractContextManager[Site]] = request.param
    with make(tmp_path) as made:
        yield made


async def test_a_record_stands_while_it_is_presented_and_no_longer(place: Site) -> None:
    asked = answer("binder.example.org")
    await place.solver.present(asked)
    assert place.zone.texts("_acme-challenge.binder.example.org") == [record_value("token1.thumbprint")]
    await place.solver.withdraw(asked)
    assert place.zone.texts("_acme-challenge.binder.example.org") == []


async def test_a_name_and_its_wildcard_are_shown_side_by_side(place: Site) -> None:
    plain, wildcard = answer("binder.example.org", 1), answer("*.binder.example.org", 2)
    await place.solver.present(plain)
    await place.solver.present(wildcard)
    both = sorted(record_value(f"token{number}.thumbprint") for number in (1, 2))
    assert place.zone.texts("_acme-challenge.binder.example.org") == both
    await place.solver.withdraw(plain)
    assert place.zone.texts("_acme-challenge.binder.example.org") == [record_value("token2.thumbprint")]


async def test_values_of_others_are_left_alone(place: Site) -> None:
    place.zone.put("_acme-challenge.binder.example.org", "somebody's")
    await place.solver.present(answer("binder.example.org"))
    assert len(place.zone.texts("_acme-challenge.binder.example.org")) == 2
    await place.solver.withdraw(answer("binder.example.org"))
    assert place.zone.texts("_acme-challenge.binder.example.org") == ["somebody's"]


async def test_what_is_presented_twice_stands_once_and_what_is_not_there_may_be_withdrawn(place: Site) -> None:
    asked = answer("binder.example.org")
    await place.solver.withdraw(asked)
    await place.solver.present(asked)
    await place.solver.present(asked)
    assert len(place.zone.texts("_acme-challenge.binder.example.org")) == 1
    await place.solver.withdraw(asked)
    await place.solver.withdraw(asked)
    assert place.zone.texts("_acme-challenge.binder.example.org") == []


async def test_an_address_cannot_be_shown_by_dns(place: Site) -> None:
    with pytest.raises(Fail) as caught:
        await place.solver.present(answer("192.0.2.1"))
    assert caught.value.failure.kind is NO_CHALLENGE
