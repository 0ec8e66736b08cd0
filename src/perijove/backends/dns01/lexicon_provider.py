"""TXT records by a DNS provider's API, through the library dns-lexicon. In: a name, a value.

The library blocks, and some of its providers wait for ever: each call has a thread of its own and a limit.
"""

from __future__ import annotations

import argparse
import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dns.exception
import dns.name

from perijove.backends.dns01.zones import Zones, words
from perijove.domain.certificate_failures import DNS_PROVIDER_FAILED
from perijove.domain.failures import BAD_SETTINGS, Evidence, Fail

LIMIT = 90.0
"""Seconds for one change of a record."""
TTL = "ttl"
"""The one option of lexicon itself; the others are the provider's."""
_FROM_FILE = "_file"
_NO_NAME = "[::1]"
"""For lexicon's constructor, which looks up a domain in a list that it fetches from the internet; not so an address."""


class LexiconProvider:
    """Writes records by one provider."""

    def __init__(self, provider: str, options: Mapping[str, str], zones: Zones, limit: float = LIMIT) -> None:
        """Raises Fail: `platform.bad-settings`."""
        self._provider, self._zones, self._limit = provider, zones, limit
        known = _known(provider)
        self._options, self._secrets = _read(provider, options, known)

    async def add(self, name: dns.name.Name, value: str) -> None:
        """Raises Fail: `cert.dns-provider-failed`."""
        await self._changed("create_record", name, value)

    async def remove(self, name: dns.name.Name, value: str) -> None:
        """Raises Fail: `cert.dns-provider-failed`."""
        await self._changed("delete_record", name, value)

    async def _changed(self, what: str, name: dns.name.Name, value: str) -> None:
        try:
            place = await self._zones.place(name)
        except dns.exception.DNSException as error:
            cause = f"the zone of {name.to_text(omit_final_dot=True)} cannot be found"
            raise Fail(DNS_PROVIDER_FAILED(cause, Evidence("DNS", words(error)))) from error
        zone, full = place.zone.to_text(omit_final_dot=True), place.name.to_text(omit_final_dot=True)

        def change() -> bool:
            with _client(self._provider, self._options, zone) as operations:
                if what == "create_record":
                    return bool(operations.create_record("TXT", full, value))
                return bool(operations.delete_record(rtype="TXT", name=full, content=value))

        where = f"{self._provider}, zone {zone}"
        try:
            done = await _apart(change, self._limit)
        except TimeoutError as error:
            cause = f"{self._provider} did not answer within {self._limit:.0f} s"
            raise Fail(DNS_PROVIDER_FAILED(cause, Evidence(where, f"{what} {full}"))) from error
        except Exception as error:  # providers raise whatever they like
            cause = f"{self._provider}: {self._told(str(error) or type(error).__name__)[:200].rstrip('.')}"
            body = getattr(getattr(error, "response", None), "text", "")
            seen = Evidence(where, self._told(f"{type(error).__name__}: {error} {body}")[:1000])
            raise Fail(DNS_PROVIDER_FAILED(cause, seen)) from error
        if not done:
            cause = f"{self._provider} did not take the change and says no more"
            raise Fail(DNS_PROVIDER_FAILED(cause, Evidence(where, f"{what} {full}: False")))

    def _told(self, text: str) -> str:
        """A provider's words without our credentials: some APIs have them in the address."""
        for secret in self._secrets:
            text = text.replace(secret, "…").replace(quote(secret, safe=""), "…")
        return text


def _client(provider: str, options: Mapping[str, str], zone: str) -> Any:
    from lexicon.client import Client  # noqa: PLC0415 - 0.2 s, which only those pay who need it
    from lexicon.config import ConfigResolver, DictConfigSource  # noqa: PLC0415

    general: dict[str, Any] = {TTL: int(options[TTL])} if TTL in options else {}
    config = ConfigResolver().with_dict(  # type: ignore[no-untyped-call]
        {"provider_name": provider, "domain": _NO_NAME, provider: options} | general
    )
    client = Client(config)
    config.add_config_source(DictConfigSource({"domain": zone}), 0)
    return client


def _known(provider: str) -> frozenset[str]:
    """Names of a provider's options. Raises Fail: `platform.bad-settings`."""
    from lexicon.exceptions import ProviderNotAvailableError  # noqa: PLC0415

    try:
        client = _client(provider, {}, "example.org")
    except ProviderNotAvailableError as error:
        cause = f"names no provider that dns-lexicon has here: {str(error).rstrip('.')}"
        raise _bad("certificates.dns", cause, provider) from error
    parser = argparse.ArgumentParser(add_help=False)
    client.provider_class.configure_parser(parser)
    return frozenset(vars(parser.parse_known_args([])[0]))


def _read(provider: str, options: Mapping[str, str], known: frozenset[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The options with files read, and all values that are secret. Raises Fail: `platform.bad-settings`."""
    read, secrets = dict[str, str](), []
    for name, text in options.items():
        plain = name.replace("-", "_")
        of_file = plain.removesuffix(_FROM_FILE)
        if name == TTL and not text.isdecimal():
            raise _bad("certificates.dns_options", "holds a ttl that is no number of seconds", text)
        if plain in known or name == TTL:
            read[name] = text
        elif of_file != plain and of_file in known:
            try:
                read[of_file] = Path(text).read_text(encoding="utf-8").strip()
            except (OSError, ValueError) as error:
                cause = f"{name} names a file that cannot be read: {words(error)}"
                raise _bad("certificates.dns_options", cause, text) from error
            secrets.append(read[of_file])
        else:
            names = ", ".join(sorted((*known, TTL)))
            raise _bad("certificates.dns_options", f"knows no {name} for {provider}; it knows {names}", name)
        if plain.startswith("auth_"):
            secrets.append(text)
    return read, tuple(sorted(filter(None, secrets), key=len, reverse=True))


async def _apart(work: Callable[[], bool], limit: float) -> bool:
    """What `work` returns, from a thread that does not keep the process alive when it hangs. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bool] = loop.create_future()

    def settle(done: bool, error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(done)
        else:
            future.set_exception(error)

    def run() -> None:
        done, failed = False, None
        try:
            done = work()
        except Exception as error:  # noqa: BLE001 - told where it is awaited
            failed = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, done, failed)

    threading.Thread(target=run, daemon=True, name="dns-lexicon").start()
    async with asyncio.timeout(limit):
        return await future


def _bad(setting: str, why: str, saw: str) -> Fail:
    return Fail(BAD_SETTINGS(f"{setting} {why}", Evidence(setting, saw[:200])))
