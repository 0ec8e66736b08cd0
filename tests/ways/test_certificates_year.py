"""The years in which certificates get short, with a moved clock: lifetimes that change, limits, days of trouble.

Let's Encrypt's plan (letsencrypt.org/2025/12/02/from-90-to-45): 90 days and authorizations of 30, then 64 and 10, then
45 days and 7 hours; by profile `tlsserver` 45 days already, by `shortlived` 160 hours.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from perijove.domain.certificate_failures import ACME_RATE_LIMITED
from perijove.domain.certificate_settings import HostSettings, IssuerSettings
from perijove.domain.certificates import AuthorizationView, HostName, OrderView, RenewalWindow, Secret
from perijove.domain.failures import Evidence, Fail
from tests.fakes.certificate_world import DAY, CertificateWorld, FakeCa

HOUR, WEEK = 3600.0, 7 * DAY
DIRECTORY = "https://ca.example/dir"
PROFILES = ("classic", "tlsserver", "shortlived")
PHASES = ((0.0, 90 * DAY, 30 * DAY), (100 * DAY, 64 * DAY, 10 * DAY), (230 * DAY, 45 * DAY, 7 * HOUR))
"""From when on: lifetime of `classic`, and for how long an authorization holds."""
OF_PROFILE = {"tlsserver": 45 * DAY, "shortlived": 160 * HOUR}
DUPLICATES, ORDERS, FAILED = (5, WEEK), (300, 3 * HOUR), (5, HOUR)
"""letsencrypt.org/docs/rate-limits: certificates for a set of names, an account's orders, validations that failed."""


@dataclass
class StrictCa(FakeCa):
    """It keeps its limits, and tells the tests whenever one would have been exceeded."""

    began: float = 0
    profiles: dict[str, str] = field(default_factory=dict)
    """By order."""
    authorized: dict[HostName, float] = field(default_factory=dict)
    """When a name was validated last."""
    validations: Counter[HostName] = field(default_factory=Counter)
    times: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    exceeded: list[str] = field(default_factory=list)

    def phase(self) -> tuple[float, float]:
        """Lifetime of `classic` now, and of authorizations."""
        past = self.world.clock.now() - self.began
        return next(phase[1:] for phase in reversed(PHASES) if past >= phase[0])

    def counted(self, kind: str, of: str, limit: tuple[int, float]) -> None:
        """Raises Fail: `cert.acme-rate-limited`."""
        now, most, within = self.world.clock.now(), *limit
        lately = [at for at in self.times.get((kind, of), ()) if at > now - within]
        if len(lately) >= most:
            self.exceeded.append(f"{kind} of {of}")
            raise Fail(ACME_RATE_LIMITED(f"too many {kind} of {of}", Evidence("ca", kind), after=within))
        self.times[kind, of] = [*lately, now]

    async def new_order(self, hosts: tuple[HostName, ...], profile: str = "", replaces: str = "") -> OrderView:
        if not replaces:  # renewals that ARI knows are exempt (RFC 9773, 5)
            self.counted("orders", "us", ORDERS)
            self.counted("certificates", ",".join(hosts), DUPLICATES)
        url = (await super().new_order(hosts, profile, replaces)).url
        self.profiles[url], order = profile, self.orders[url]
        for host in hosts:
            if self.world.clock.now() - self.authorized.get(host, float("-inf")) < self.phase()[1]:
                order.challenges[host] = "valid"
        return self.view(order)

    async def answer(self, challenge: str) -> None:
        await super().answer(challenge)
        self.validations[self._named(challenge.rpartition("/")[0])[1]] += 1

    async def authorization(self, url: str) -> AuthorizationView:
        order, host = self._named(url)
        before = order.challenges[host]
        view = await super().authorization(url)
        if order.challenges[host] != before:
            if order.challenges[host] == "valid":
                self.authorized[host] = self.world.clock.now()
            elif order.challenges[host] == "invalid":
                self.counted("failed validations", host, FAILED)
        return view

    def signed(self, names: tuple[HostName, ...], key: str, serial: str) -> bytes:
        profile = self.profiles[serial.removesuffix("/certificate")]
        self.lifetime = OF_PROFILE.get(profile, self.phase()[0])
        return super().signed(names, key, serial)


def window(secret: Secret) -> RenewalWindow:
    """As Boulder has it: around two thirds of the lifetime, half for those below ten days (core/objects.go, 2026)."""
    lifetime = secret.not_after - secret.not_before
    at = secret.not_before + lifetime * (1 / 2 if lifetime < 10 * DAY else 2 / 3)
    return RenewalWindow(at, at + 0.02 * lifetime)


@pytest.mark.long
async def test_no_certificate_ends_and_no_limit_is_met_while_lifetimes_shrink(tmp_path: Path) -> None:
    hosts = {f"{profile}.example.org": profile for profile in PROFILES}
    world = CertificateWorld(tmp_path, *hosts)
    world.set(
        certificates__host={host: HostSettings(issuers=(profile,)) for host, profile in hosts.items()},
        certificates__issuer={one: IssuerSettings(directory=DIRECTORY, profile=one) for one in PROFILES},
    )
    ca = world.cas[DIRECTORY] = StrictCa(world, DIRECTORY, began=world.clock.now())
    ca.window = window
    lives: dict[HostName, dict[str, Secret]] = {host: {} for host in hosts}
    for third in range(3):
        async with world.up():  # twice in the year the machine is started anew
            for day in range(121):
                troubled = (third, day // 2) in {(0, 33), (1, 20), (2, 50)}
                for host in hosts.values():
                    world.hosts[f"{host}.example.org"].from_outside = not troubled
                for _ in range(4):
                    await world.clock.passes(DAY / 4)
                    for host in hosts:
                        current = world.secrets.current(host)
                        if current is None:
                            assert (third, day) == (0, 0)
                            continue
                        assert current.not_before <= world.clock.now() < current.not_after, host
                        lives[host][current.revision] = current
    assert ca.exceeded == []
    for host, profile in hosts.items():
        used = sorted(lives[host].values(), key=lambda one: one.not_before)
        lifetimes = [round((one.not_after - one.not_before) / HOUR) for one in used]
        wanted = [OF_PROFILE[profile]] if profile in OF_PROFILE else [phase[1] for phase in PHASES]
        assert list(dict.fromkeys(lifetimes)) == [round(one / HOUR) for one in wanted]
        for old, new in pairwise(used):
            spent = (new.not_before - old.not_before) / (old.not_after - old.not_before)
            left_at_least = 1 / 20 if profile == "shortlived" else 1 / 4
            assert 0.45 <= spent <= 1 - left_at_least, (host, spent)
        lately = [one for one in used if one.not_before > ca.began + PHASES[-1][0]]
        assert ca.validations[host] >= len(lately) > 0, "an authorization of hours is asked for again each time"
