"""A token for a Git host by a code, at a person's own page: the host on loopback, and no script."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from perijove.domain.auth_settings import DeviceSettings
from perijove.domain.people import HostToken
from perijove.domain.people_failures import DEVICE_ENDED, DEVICE_UNUSABLE
from perijove.web.device_codes import OF_PERSON
from tests.fakes import device_host as words
from tests.fakes.device_host import DeviceHost
from tests.unit.web.conftest import PAGES, Web
from tests.unit.web.test_login import OURS, cookie, people

__all__ = ["people"]


@pytest.fixture
def host() -> Iterator[DeviceHost]:
    with words.device_host() as host:
        host.say(words.CODE)
        yield host


@pytest.fixture
def web(people: Web, host: DeviceHost) -> Web:
    people.world.set(auth__device={host.url: DeviceSettings("perijove")})
    return people


async def begun(web: Web, shown: str, host: DeviceHost) -> httpx.Response:
    return await web.client.post("/you/device", data={"host": host.url}, headers={"Cookie": shown, **PAGES, **OURS})


async def asked(web: Web, shown: str, **headers: str) -> httpx.Response:
    return await web.client.post("/you/device/ask", headers={"Cookie": shown, **OURS, **headers})


async def page(web: Web, shown: str) -> str:
    return (await web.get("/you", Cookie=shown, **PAGES)).text


def tokens(web: Web, name: str) -> list[HostToken]:
    assert web.public.people is not None
    return [*web.public.people.host_tokens.of(name)]


async def test_a_code_is_shown_to_its_person_and_its_token_is_kept_as_a_pasted_one(web: Web, host: DeviceHost) -> None:
    ada, bob = await cookie(web, "ada"), await cookie(web, "bob")
    assert f"Get a token from {host.url.partition('://')[2]}" in await page(web, ada)
    answer = await begun(web, ada, host)
    assert (answer.status_code, answer.headers["location"]) == (303, "/you")
    shown = await page(web, ada)
    assert all(one in shown for one in ("WDJB-MJHT", 'href="https://github.com/login/device"', 'data-wait="5"'))
    assert words.CODE["device_code"] not in shown
    assert "WDJB-MJHT" not in await page(web, bob)
    host.say(words.PENDING)
    assert (await asked(web, ada)).json() == {"wait": 5}
    assert len(host.asked) == 1, "it is asked no sooner than it allows"
    web.world.clock.time += 5
    assert (await asked(web, ada)).json() == {"wait": 5}
    host.say(words.SLOW_DOWN)
    web.world.clock.time += 5
    assert (await asked(web, ada)).json() == {"wait": 10}
    web.world.clock.time += 9
    host.say(words.TOKEN)
    assert (await asked(web, ada)).json() == {"wait": 1}
    web.world.clock.time += 1
    answer = await asked(web, ada, **PAGES)
    assert (answer.status_code, answer.headers["location"]) == (303, "/you")
    (token,) = tokens(web, "ada")
    assert (token.host, token.secret) == (host.url, words.TOKEN["access_token"])
    shown = await page(web, ada)
    assert ("given" in shown, "WDJB-MJHT" in shown, token.secret in shown) == (True, False, False)
    assert (await asked(web, bob)).json() == {"wait": 0}
    assert tokens(web, "bob") == []


async def test_how_it_ends_is_told_on_the_page_and_it_can_begin_anew(web: Web, host: DeviceHost) -> None:
    ada = await cookie(web, "ada")
    await begun(web, ada, host)
    host.say(words.DENIED)
    web.world.clock.time += 5
    assert (await asked(web, ada)).json() == {"wait": 0}
    shown = await page(web, ada)
    assert (DEVICE_ENDED.title in shown, "it was refused there" in shown, "you.js" in shown) == (True, True, False)
    host.say(words.CODE | {"user_code": "NEXT-CODE"})
    await begun(web, ada, host)
    assert "NEXT-CODE" in await page(web, ada)
    many = len(host.asked)
    await begun(web, ada, host)
    assert len(host.asked) == many, "the one that they have"
    web.world.clock.time += 901
    await asked(web, ada)
    assert "was not typed there in time" in await page(web, ada)
    assert len(host.asked) == many, "it is not asked for a code that has ended"


async def test_only_our_page_begins_it_at_a_host_that_is_named_and_not_without_end(web: Web, host: DeviceHost) -> None:
    ada = await cookie(web, "ada")
    foreign = {"Cookie": ada, "Origin": "https://evil.test"}
    for path in ("/you/device", "/you/device/ask"):
        assert (await web.client.post(path, data={"host": host.url}, headers=foreign)).is_error
        assert (await web.client.post(path, data={"host": host.url}, headers=OURS)).is_error, "nobody"
    assert (await begun(web, ada, DeviceHost("https://github.com"))).status_code == 400
    assert host.asked == []
    host.say(words.DISABLED)
    answers = [await begun(web, ada, host) for _ in range(OF_PERSON + 1)]
    assert [DEVICE_UNUSABLE.title in one.text for one in answers] == [True] * OF_PERSON + [False]
    assert answers[-1].status_code == 400
    assert len(host.asked) == OF_PERSON
