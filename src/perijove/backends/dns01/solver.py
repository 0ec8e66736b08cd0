"""Who answers dns-01 here? In: settings. Out: the Solver. Raises Fail `platform.bad-settings` for nonsense."""

from __future__ import annotations

import base64
import hashlib
from typing import Protocol

import dns.name

from perijove.backends.dns01.hook import Hook
from perijove.backends.dns01.lexicon_provider import LexiconProvider
from perijove.backends.dns01.rfc2136 import Rfc2136
from perijove.backends.dns01.visible import LIMIT, Visibility
from perijove.backends.dns01.zones import Zones, challenge_name
from perijove.domain.certificate_failures import NO_CHALLENGE
from perijove.domain.certificate_ports import Solver
from perijove.domain.certificate_settings import CertificatesSettings
from perijove.domain.certificates import ChallengeAnswer, is_address
from perijove.domain.failures import Evidence, Fail

HOOK = "hook:"


class Records(Protocol):
    """Writes TXT records. Other values of the same name stay as they are."""

    async def add(self, name: dns.name.Name, value: str) -> None: ...

    async def remove(self, name: dns.name.Name, value: str) -> None: ...


class DnsSolver:
    """Implements the port `Solver` for `ChallengeType.DNS`."""

    def __init__(self, records: Records, visibility: Visibility) -> None:
        self._records, self._visibility = records, visibility

    async def present(self, answer: ChallengeAnswer) -> None:
        name = _name(answer)
        await self._records.add(name, record_value(answer.key_authorization))
        await self._visibility.wait(name, record_value(answer.key_authorization))

    async def withdraw(self, answer: ChallengeAnswer) -> None:
        await self._records.remove(_name(answer), record_value(answer.key_authorization))


def dns_solver(settings: CertificatesSettings, limit: float = LIMIT, port: int = 53) -> Solver:
    """The one whom the settings name. A record has `limit` seconds to be seen.

    `port` is where authoritative servers are asked. Raises Fail: `platform.bad-settings`.
    """
    zones = Zones(settings.resolvers, port)
    records: Records
    if settings.dns.startswith(HOOK):
        records = Hook(settings.dns.removeprefix(HOOK))
    elif settings.dns == "rfc2136":
        records = Rfc2136(settings.dns_options, zones)
    else:
        records = LexiconProvider(settings.dns, settings.dns_options, zones)
    return DnsSolver(records, Visibility(zones, limit))


def record_value(key_authorization: str) -> str:
    """What the TXT record holds (RFC 8555, 8.4)."""
    return base64.urlsafe_b64encode(hashlib.sha256(key_authorization.encode()).digest()).rstrip(b"=").decode()


def _name(answer: ChallengeAnswer) -> dns.name.Name:
    if is_address(answer.host):
        seen = Evidence(answer.host, "an address has no TXT record (RFC 8738, 7)")
        raise Fail(NO_CHALLENGE("dns-01 cannot show an address", seen))
    return challenge_name(answer.host)
