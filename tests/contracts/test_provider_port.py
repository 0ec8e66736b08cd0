"""The port `Provider`: people are logged in at a real OpenID provider, and at nothing that only looks like one."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from perijove.backends.oidc import ANEW_EVERY, LEEWAY, OidcProvider
from perijove.domain import auth_failures as codes
from perijove.domain.auth_settings import AuthMethod, AuthSettings
from perijove.domain.failures import BAD_SETTINGS, Fail, Kind
from perijove.domain.people import Back, Leave, Person
from tests.fakes import node, oidc
from tests.fakes.oidc import SECRET, OidcServer
from tests.fakes.world import FakeClock

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user, node.required("oidc_provider")]
BACK = "https://hub.test/login/back"
ADA = {
    "email": "ada@example.org",
    "email_verified": True,
    "groups": ["students", "b ad", 7],
    "preferred_username": "ada",
}
PEOPLE = {
    "7": ADA,
    "8": {"email": "bob@example.org", "email_verified": False},
    "9": {"email": "<b>@example.org", "email_verified": True},
}


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with oidc.provider(BACK, people=PEOPLE) as server:
        yield server


@dataclass
class Service:
    """Perijove's side."""

    server: OidcServer
    settings: AuthSettings
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.clock.time = time.time()
        self.provider = OidcProvider(lambda: self.settings, self.clock)

    def leave(self) -> Leave:
        return Leave(BACK, *(secrets.token_urlsafe(32) for _ in range(3)))

    async def away(self, leave: Leave, name: str = "7") -> Back:
        """What a browser comes back with."""
        there = self.server.log_in(await self.provider.address(leave), name)
        query = parse_qs(urlsplit(there).query)
        assert query["state"] == [leave.state]
        return Back(query["code"][0], query["iss"][0])

    async def person(self, name: str = "7") -> Person:
        leave = self.leave()
        return await self.provider.person(leave, await self.away(leave, name))

    async def refused(self, kind: Kind, leave: Leave, back: Back) -> None:
        with pytest.raises(Fail) as caught:
            await self.provider.person(leave, back)
        assert caught.value.failure.kind is kind


@pytest.fixture
def service(server: OidcServer, tmp_path: Path) -> Service:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    settings = AuthSettings(
        AuthMethod.OIDC, oidc_issuer=server.issuer, oidc_client_id="perijove", oidc_client_secret_file=str(secret)
    )
    return Service(server, settings)


async def test_a_person_has_the_name_and_the_groups_that_the_provider_says(service: Service) -> None:
    assert await service.person() == Person("ada@example.org", frozenset({"students"}))
    service.settings = replace(service.settings, oidc_name="preferred_username")
    assert await service.person() == Person("ada", frozenset({"students"}))
    service.settings = replace(service.settings, oidc_name="sub", oidc_groups="none")
    assert await service.person() == Person("7")


async def test_a_name_that_cannot_be_used_is_told(service: Service) -> None:
    for name in ("8", "9", "10"):
        leave = service.leave()
        await service.refused(codes.NAME_UNUSABLE, leave, await service.away(leave, name))


async def test_an_answer_is_good_once_and_for_the_one_who_asked(service: Service) -> None:
    leave, other = service.leave(), service.leave()
    back = await service.away(leave)
    await service.refused(codes.LOGIN_REFUSED, replace(leave, verifier=other.verifier), back)
    back = await service.away(leave)
    await service.refused(codes.PROVIDER_WRONG, replace(leave, nonce=other.nonce), back)
    await service.refused(codes.LOGIN_REFUSED, leave, back)
    for issuer in ("https://other.test", ""):
        await service.refused(codes.PROVIDER_WRONG, leave, replace(await service.away(leave), issuer=issuer))


async def test_a_secret_that_is_another_or_not_there_is_told(service: Service, tmp_path: Path) -> None:
    leave = service.leave()
    back = await service.away(leave)
    (tmp_path / "secret").write_text("another")
    await service.refused(codes.LOGIN_REFUSED, leave, back)
    (tmp_path / "secret").unlink()
    await service.refused(BAD_SETTINGS, leave, back)


async def test_new_keys_are_fetched_when_something_is_signed_by_one(service: Service) -> None:
    assert await service.person()
    service.server.restart(key=oidc.a_key())
    service.clock.time += ANEW_EVERY + 1
    assert (await service.person()).name == "ada@example.org"
    service.server.restart(key=oidc.a_key())
    leave = service.leave()
    await service.refused(codes.PROVIDER_WRONG, leave, await service.away(leave))


@pytest.mark.parametrize("method", ["client_secret_post", "none"])
async def test_other_ways_to_show_the_secret_and_what_only_userinfo_tells(service: Service, method: str) -> None:
    before = service.server.method
    service.server.restart(method=method, in_token=False)
    try:
        if method == "none":
            service.settings = replace(service.settings, oidc_client_secret_file="")
            assert await service.person() == Person("ada@example.org", frozenset({"students"}))
        else:
            leave = service.leave()
            back = await service.away(leave)
            known = service.provider._known
            assert known is not None
            known.metadata = {**known.metadata, "token_endpoint_auth_methods_supported": [method]}
            assert (await service.provider.person(leave, back)).name == "ada@example.org"
    finally:
        service.server.restart(method=before, in_token=True)


@pytest.mark.parametrize(("ahead", "well"), [(LEEWAY - 30, True), (-500, True), (-900, False), (LEEWAY + 30, False)])
async def test_clocks_may_differ_a_little(service: Service, ahead: float, well: bool) -> None:
    """An ID token of this provider is good for 600 seconds."""
    leave = service.leave()
    back = await service.away(leave)
    service.clock.time -= ahead
    if well:
        assert await service.provider.person(leave, back)
    else:
        await service.refused(codes.PROVIDER_WRONG, leave, back)


async def test_what_a_provider_does_not_know_is_seen_before_anybody_logs_in(service: Service) -> None:
    await service.provider.check(BACK)
    for redirect_uri, client in (("https://elsewhere.test/login/back", "perijove"), (BACK, "another")):
        service.settings = replace(service.settings, oidc_client_id=client)
        with pytest.raises(Fail) as caught:
            await service.provider.check(redirect_uri)
        assert caught.value.failure.kind is codes.LOGIN_REFUSED


async def test_a_provider_that_is_away_or_another_is_told(service: Service) -> None:
    service.settings = replace(service.settings, oidc_issuer=service.server.issuer.replace("localhost", "127.0.0.1"))
    with pytest.raises(Fail) as caught:
        await service.provider.address(service.leave())
    assert caught.value.failure.kind is codes.PROVIDER_WRONG
    service.settings = replace(service.settings, oidc_issuer=f"{service.server.issuer}/elsewhere")
    with pytest.raises(Fail) as caught:
        await service.provider.address(service.leave())
    assert caught.value.failure.kind is codes.PROVIDER_WRONG
    service.settings = replace(service.settings, oidc_issuer="http://localhost:1")
    with pytest.raises(Fail) as caught:
        await service.provider.address(service.leave())
    assert caught.value.failure.kind is codes.PROVIDER_SILENT
