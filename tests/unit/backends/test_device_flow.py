"""The device flow, against a host on loopback that says what GitHub and GitLab say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from perijove.backends.device_flow import EARLY, GRANT, SLOWEST, DeviceFlow
from perijove.domain.auth_settings import AuthMethod, AuthSettings, DeviceSettings, faults
from perijove.domain.failures import Fail, Kind
from perijove.domain.people import DeviceCode, HostToken
from perijove.domain.people_failures import DEVICE_ENDED, DEVICE_UNUSABLE
from tests.fakes import device_host as words
from tests.fakes.device_host import DeviceHost
from tests.fakes.world import FakeClock


@pytest.fixture
def host() -> Iterator[DeviceHost]:
    with words.device_host() as host:
        yield host


def flow(host: DeviceHost, clock: FakeClock | None = None, **client: Any) -> DeviceFlow:
    settings = AuthSettings(device={host.url: DeviceSettings(client_id="perijove", **client)})
    return DeviceFlow(lambda: settings, clock or FakeClock())


async def code(host: DeviceHost, devices: DeviceFlow) -> DeviceCode:
    host.say(words.CODE)
    return await devices.begin(host.url)


async def test_a_code_is_shown_and_becomes_a_token_once_it_was_typed_there(host: DeviceHost) -> None:
    clock = FakeClock()
    devices = flow(host, clock)
    begun = await code(host, devices)
    assert (begun.shown, begun.there, begun.interval) == ("WDJB-MJHT", "https://github.com/login/device", 5)
    assert begun.expires == clock.now() + 900
    assert words.CODE["device_code"] not in repr(begun)
    host.say(words.PENDING, words.TOKEN)
    assert await devices.ask(begun) == begun
    token = await devices.ask(begun)
    assert isinstance(token, HostToken)
    assert (token.secret, token.host, token.expires) == (words.TOKEN["access_token"], host.url, 0)
    assert token.secret not in repr(token)
    asked = {"client_id": "perijove", "device_code": words.CODE["device_code"], "grant_type": GRANT}
    assert host.asked == [
        ("/oauth/authorize_device", {"client_id": "perijove", "scope": "read_repository"}),
        ("/oauth/token", asked),
        ("/oauth/token", asked),
    ]


async def test_a_host_of_another_kind_is_asked_where_the_operator_says(host: DeviceHost) -> None:
    there: dict[str, Any] = {
        "code_url": f"{host.url}/login/device/code",
        "token_url": f"{host.url}/login/oauth/access_token",
    }
    devices = flow(host, **there, scopes=("repo", "read:org"))
    begun = await code(host, devices)
    host.say(words.TOKEN)
    await devices.ask(begun)
    assert [path for path, _ in host.asked] == ["/login/device/code", "/login/oauth/access_token"]
    assert host.asked[0][1]["scope"] == "repo read:org"


async def test_who_is_told_to_slow_down_does_and_who_hears_nothing_too(host: DeviceHost) -> None:
    devices = flow(host)
    begun = await code(host, devices)
    host.say(words.SLOW_DOWN, {"error": "slow_down"})
    told = [await devices.ask(begun), await devices.ask(begun)]
    assert [one.interval for one in told if isinstance(one, DeviceCode)] == [10, 10], "5 more where it says nothing"
    host.say("", status=502)
    for _ in range(6):
        told = [await devices.ask(begun)]
        assert isinstance(told[0], DeviceCode)
        begun = told[0]
    assert begun.interval == SLOWEST


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    ("said", "kind", "seen"),
    [
        (words.DENIED, DEVICE_ENDED, "was denied"),
        (words.EXPIRED, DEVICE_ENDED, "has expired"),
        (words.DISABLED, DEVICE_UNUSABLE, "must be explicitly enabled"),
        ({"error": "invalid_client"}, DEVICE_UNUSABLE, "invalid_client"),
        ({"access_token": "a\nhost=evil.test"}, DEVICE_UNUSABLE, ""),
        ("<html>", DEVICE_UNUSABLE, ""),
        ("x" * 70_000, DEVICE_UNUSABLE, ""),
    ],
)
async def test_how_it_ends(host: DeviceHost, said: Any, kind: Kind, seen: str, status: int) -> None:
    devices = flow(host)
    begun = await code(host, devices)
    host.say(said, status=status)
    with pytest.raises(Fail) as caught:
        await devices.ask(begun)
    failure = caught.value.failure
    assert failure.kind is kind
    assert seen in str(failure.evidence)
    assert "evil" not in str(failure.evidence)


@pytest.mark.parametrize(
    "wrong",
    [{"verification_uri": "javascript:alert(1)"}, {"user_code": "a\u202eb"}, {"user_code": ""}, {"device_code": ""}],
)
async def test_what_no_person_can_be_shown_is_no_code(host: DeviceHost, wrong: dict[str, str]) -> None:
    host.say(words.CODE | wrong)
    with pytest.raises(Fail, match=DEVICE_UNUSABLE.title):
        await flow(host).begin(host.url)


async def test_a_host_that_is_not_named_or_not_there_gives_none(host: DeviceHost) -> None:
    devices = flow(host)
    for there in ("https://evil.test", ""):
        with pytest.raises(Fail, match=DEVICE_UNUSABLE.title):
            await devices.begin(there)
    gone = DeviceHost("http://127.0.0.1:1")
    with pytest.raises(Fail, match="does not answer"):
        await flow(gone).begin(gone.url)


async def test_a_token_is_renewed_when_it_ends_and_not_before(host: DeviceHost) -> None:
    clock = FakeClock()
    devices = flow(host, clock)
    begun = await code(host, devices)
    host.say(words.SHORT)
    token = await devices.ask(begun)
    assert isinstance(token, HostToken)
    assert token.expires == clock.now() + 7200
    assert await devices.renewed(token) is token
    clock.time += 7200 - EARLY
    host.say({"error": "invalid_grant"}, status=400)
    assert await devices.renewed(token) is token, "the host says of the old one why"
    host.say(words.SHORT | {"access_token": "another-one", "refresh_token": "another-renewal"})
    renewed = await devices.renewed(token)
    assert (renewed.secret, renewed.renewal) == ("another-one", "another-renewal")
    asked = {"client_id": "perijove", "refresh_token": words.SHORT["refresh_token"], "grant_type": "refresh_token"}
    assert host.asked[-1] == ("/oauth/token", asked)


@pytest.mark.parametrize(
    ("name", "client"),
    [
        ("a b", DeviceSettings("x")),
        ("http://git.test", DeviceSettings("x")),
        ("github.com", DeviceSettings()),
        ("github.com", DeviceSettings("x", token_url="http://github.com/token")),
    ],
)
def test_settings_that_cannot_be_followed_are_told(name: str, client: DeviceSettings) -> None:
    auth = AuthSettings(AuthMethod.PASSWORD, device={"gitlab.com": DeviceSettings("x"), name: client})
    assert [one for one, _, _ in faults(auth, (), apart=True)] == ["auth.device"]
