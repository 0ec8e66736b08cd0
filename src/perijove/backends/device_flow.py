"""People's tokens for Git hosts by OAuth's device flow (RFC 8628): the port `Devices`. Acts.

A person reads a code here and types it there: what opens anything passes through no browser and no address.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from perijove.authorities import believed
from perijove.domain.auth_settings import AuthSettings, DeviceSettings
from perijove.domain.failures import Evidence, Fail
from perijove.domain.people import DEVICE_TOKEN, DeviceCode, HostToken, device_hosts, host_of
from perijove.domain.people_failures import DEVICE_ENDED, DEVICE_UNUSABLE
from perijove.domain.ports import Clock
from perijove.domain.sizes import size
from perijove.log import log

WITHIN = 10.0
"""Seconds for one answer."""
LARGEST = 64 * 1024
"""Bytes of one."""
INTERVAL, SLOWER, SLOWEST = 5.0, 5.0, 60.0
"""Seconds between two questions where the host names none, how many more after `slow_down`, and where they stay bounded
while it does not answer at all (RFC 8628, 3.2 and 3.5)."""
LONGEST = 1800.0
"""Seconds for which a code holds at most."""
EARLY = 120.0
"""Seconds before its end in which a token is renewed: a fetch takes a while."""
GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class DeviceFlow:
    """At the hosts of `auth.device`."""

    def __init__(self, settings: Callable[[], AuthSettings], clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    @property
    def hosts(self) -> Sequence[str]:
        return [*device_hosts(self._settings().device)]

    async def begin(self, host: str) -> DeviceCode:
        client = self._client(host)
        scopes = client.scopes or (() if _is_github(host) else ("read_repository",))
        form = {"client_id": client.client_id} | ({"scope": " ".join(scopes)} if scopes else {})
        url = client.code_url or host + ("/login/device/code" if _is_github(host) else "/oauth/authorize_device")
        try:
            told, now = await self._asked(url, form), self._clock.now()
        except httpx.HTTPError as error:
            seen = Evidence(url, (str(error) or repr(error))[:300])
            raise Fail(DEVICE_UNUSABLE("it does not answer", seen)) from error
        code, shown, there = (str(told.get(key, "")) for key in ("device_code", "user_code", "verification_uri"))
        if "error" in told or not code or not (shown.isprintable() and 0 < len(shown) <= 64) or not host_of(there):
            raise Fail(DEVICE_UNUSABLE("it gives no code", Evidence(url, _words(told))))
        interval = min(_seconds(told, "interval", INTERVAL), SLOWEST)
        return DeviceCode(host, code, shown, there, interval, now + min(_seconds(told, "expires_in", 900), LONGEST))

    async def ask(self, code: DeviceCode) -> HostToken | DeviceCode:
        client = self._client(code.host)
        form = {"client_id": client.client_id, "device_code": code.code, "grant_type": GRANT}
        try:
            told = await self._asked(self._token_url(code.host), form)
        except httpx.HTTPError:  # 3.5: ask more seldom then
            return replace(code, interval=min(code.interval * 2, SLOWEST))
        match told.get("error"):
            case None:
                return self._token(code.host, told)
            case "authorization_pending":
                return code
            case "slow_down":
                return replace(code, interval=max(_seconds(told, "interval", 0), code.interval + SLOWER))
            case "access_denied":
                raise Fail(DEVICE_ENDED("it was refused there", Evidence(code.host, _words(told))))
            case "expired_token":
                raise Fail(DEVICE_ENDED("the code was not typed there in time", Evidence(code.host, _words(told))))
        raise Fail(DEVICE_UNUSABLE("it gives no token", Evidence(self._token_url(code.host), _words(told))))

    async def renewed(self, token: HostToken) -> HostToken:
        if not token.renewal or self._clock.now() < token.expires - EARLY or token.host not in self.hosts:
            return token
        client = self._client(token.host)
        form = {"client_id": client.client_id, "refresh_token": token.renewal, "grant_type": "refresh_token"}
        try:
            return self._token(token.host, await self._asked(self._token_url(token.host), form))
        except (Fail, httpx.HTTPError) as error:  # the old one is tried, and what the host says of it is told
            saw = error.failure.message if isinstance(error, Fail) else repr(error)
            log.warning("a token for a Git host is not renewed", host=token.host, saw=saw[:300])
            return token

    def _client(self, host: str) -> DeviceSettings:
        """Raises Fail: `start.device-unusable`."""
        if found := device_hosts(self._settings().device).get(host):
            return found
        raise Fail(DEVICE_UNUSABLE("auth.device does not name it", Evidence("host", host[:200])))

    def _token_url(self, host: str) -> str:
        return self._client(host).token_url or host + (
            "/login/oauth/access_token" if _is_github(host) else "/oauth/token"
        )

    def _token(self, host: str, told: Mapping[str, Any]) -> HostToken:
        """Raises Fail: `start.device-unusable`."""
        secret, renewal = str(told.get("access_token", "")), str(told.get("refresh_token", ""))
        if not DEVICE_TOKEN.fullmatch(secret):
            raise Fail(DEVICE_UNUSABLE("it gives no token", Evidence(self._token_url(host), _words(told))))
        now, lasts = self._clock.now(), _seconds(told, "expires_in", 0)
        return HostToken(host, secret, since=now, renewal=renewal[:4000], expires=now + lasts if lasts else 0)

    async def _asked(self, url: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        """Its answer, be it an error: GitHub's have status 200.

        Raises Fail: `start.device-unusable`; httpx.HTTPError where there is none.
        """
        content = b""
        try:
            async with (
                asyncio.timeout(WITHIN),
                httpx.AsyncClient(timeout=WITHIN, verify=await believed()) as client,
                client.stream("POST", url, data=form, headers={"Accept": "application/json"}) as answer,
            ):
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > LARGEST:
                        raise Fail(DEVICE_UNUSABLE("its answer is too large", Evidence(url, f"over {size(LARGEST)}")))
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"no answer within {WITHIN:g} s") from error
        if answer.is_server_error:
            raise httpx.HTTPStatusError(f"{answer.status_code}", request=answer.request, response=answer)
        try:
            told: Any = json.loads(content)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict) or not (answer.is_success or "error" in told):
            seen = Evidence(url, f"{answer.status_code}")
            raise Fail(DEVICE_UNUSABLE("nothing there speaks the device flow", seen))
        return told


def _is_github(host: str) -> bool:
    return host == "https://github.com"


def _seconds(told: Mapping[str, Any], name: str, otherwise: float) -> float:
    """A length of time as the host says it; never a negative one, or none at all."""
    said = told.get(name)
    right = isinstance(said, (int, float)) and not isinstance(said, bool) and 0 <= said < 10**9
    return float(said) if right and said is not None else otherwise


def _words(told: Mapping[str, Any]) -> str:
    """What it says of an error, and never what it gives."""
    return f"{told.get('error', 'no error')}: {told.get('error_description', '')}"[:300]
