"""Each host's certificate as the running service has it, and as ports show it. In: a service. Out: facts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from perijove.backends.dns01.authoritative import Authoritative
from perijove.backends.probes.host_probe import HostProbe
from perijove.backends.probes.names import Names
from perijove.certifying.issuer import asks_for_proof
from perijove.certifying.wanted import wanted
from perijove.domain import wire
from perijove.domain.certificates import CertificateSpec, HostName, is_address
from perijove.domain.ground import CertificateSeen, CertificateState, Shown, Unseen
from perijove.domain.listening import here, https_listeners
from perijove.domain.settings import Settings
from perijove.domain.state import State

AT_ONCE = 16
LIMIT = 15.0
"""Seconds for what the service says of one host: it looks at it meanwhile."""
MOST = 4
"""Addresses of one name and family that are looked at."""


async def certificates(state: State, settings: Settings) -> tuple[CertificateSeen, ...] | Unseen:
    """Every host's, in the order of the settings."""
    turns, probe = asyncio.Semaphore(AT_ONCE), _Ports.of(settings)
    transport = httpx.AsyncHTTPTransport(uds=str(state.admin_socket), verify=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://perijove", timeout=LIMIT) as operator:

        async def one(spec: CertificateSpec) -> CertificateSeen:
            async with turns:
                answer = await operator.post(f"/certificates/{quote(spec.host)}/look")
                held: CertificateState = wire.decode(CertificateState, answer.raise_for_status().json())
                return CertificateSeen(held, await probe.shown(spec))

        try:
            return tuple(await asyncio.gather(*map(one, wanted(settings))))
        except httpx.HTTPError as error:
            return Unseen(f"the service did not tell: {str(error)[:200]}")


@dataclass(frozen=True, slots=True)
class _Ports:
    """Looks at ports that show a certificate."""

    settings: Settings
    probe: HostProbe
    names: Names

    @classmethod
    def of(cls, settings: Settings) -> _Ports:
        resolvers = settings.certificates.resolvers
        return cls(settings, HostProbe(lambda: settings, Authoritative(lambda: resolvers)), Names(lambda: resolvers))

    async def shown(self, spec: CertificateSpec) -> tuple[Shown, ...]:
        """By the service's own listener, and by the addresses that the name has."""
        own, name = here(https_listeners(self.settings.service)[0]), spec.host.replace("*", "www", 1)
        led = name == spec.host and asks_for_proof(spec.issuers) and not is_address(name)
        places = (own, *(await self._addresses(name) if led else ()))
        return tuple(await asyncio.gather(*(self._at(place, own, name) for place in dict.fromkeys(places))))

    async def _addresses(self, name: HostName) -> list[str]:
        port = self.settings.certificates.tls_port
        answers = await asyncio.gather(self.names.ask(name, "A"), self.names.ask(name, "AAAA"))
        four, six = ([value for one in told if one.record != "CNAME" for value in one.values] for told in answers)
        return [*(f"{one}:{port}" for one in four[:MOST]), *(f"[{one}]:{port}" for one in six[:MOST])]

    async def _at(self, place: str, own: str, name: HostName) -> Shown:
        try:
            return Shown(place, place == own, await self.probe.handshake(place, name), "")
        except (ConnectionError, TimeoutError) as error:
            return Shown(place, place == own, None, str(error)[:300])
