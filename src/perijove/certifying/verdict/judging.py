"""Would a CA see the answer, and if not, why? In: an `Observation`, what the CA says of itself. Out: a `Verdict`. Pure.

Shared by the way, which asks a CA only when this says so, and by the doctor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from perijove.certifying.verdict import caa
from perijove.certifying.verdict.outside import names_seen_outside, seen_outside
from perijove.certifying.verdict.sentences import (
    answer,
    cached_evidence,
    certificate,
    dns_evidence,
    handshake_evidence,
    hop_evidence,
    who,
)
from perijove.certifying.verdict.trail import Trail, Why, why
from perijove.domain import certificate_failures as rows
from perijove.domain.certificates import AddressSeen, ChallengeType, Confidence, DnsSeen, Observation
from perijove.domain.failures import Evidence, Failure

CLOCK_TOLERANCE = 300.0
"""Seconds by which a clock may differ."""
CLOCK_HARMFUL = 3600.0
"""Seconds from which a fresh certificate is not valid yet, or not for as long as it should: CAs backdate by an hour."""


_Found = tuple[Failure, Confidence]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look means."""

    failure: Failure | None
    """None where an allowed challenge is open."""
    confidence: Confidence
    open: tuple[ChallengeType, ...]
    """Challenges that a CA would see answered; dns-01 wherever it is allowed."""
    notes: tuple[Evidence, ...]
    """What stands in nobody's way, and is worth knowing."""
    instead: Failure | None = None
    """Why nothing but a record that stays in DNS is open, where more is allowed."""


@dataclass(frozen=True, slots=True)
class _Case:
    """All that a judgement rests on."""

    seen: Observation
    marker: str
    identities: tuple[str, ...]
    account_url: str
    clock_ahead: float
    allowed: tuple[ChallengeType, ...]
    reach_us: str
    record: _Found | None = None

    @property
    def used(self) -> tuple[AddressSeen, ...]:
        """The addresses that CAs ask: those of IPv6 where there are any."""
        six = tuple(one for one in self.seen.addresses if ":" in one.address)
        return six or self.seen.addresses

    def trail(self, one: AddressSeen) -> Trail:
        ports = (self.seen.http_port, self.seen.tls_port)
        return Trail(self.seen.host, one.hops, self.seen.expected, self.marker, self.reach_us, ports)

    def arrives(self, one: AddressSeen) -> bool:
        return bool(one.hops) and self.trail(one).arrives


def judge(
    observation: Observation,
    *,
    marker: str,
    caa_identities: tuple[str, ...],
    account_url: str = "",
    clock_ahead: float = 0,
    allowed: tuple[ChallengeType, ...],
    reach_us: str = "",
    record: _Found | None = None,
) -> Verdict:
    """What a look means for the challenges that are allowed.

    `marker` is what our solver says in its header; `caa_identities` and `account_url` are the CA's and ours, where they
    are known; `clock_ahead` is by how many seconds the CA's clock is ahead of ours; `reach_us` is the address and port
    at which a web server in front reaches Perijove; `record` is what is wrong with the one for dns-persist-01.
    """
    case = _Case(observation, marker, caa_identities, account_url, clock_ahead, allowed, reach_us, record)
    left, forbidden = _caa(case)
    would_be = tuple(kind for kind in allowed if _is_open(case, kind))
    seen_open = tuple(kind for kind in would_be if kind in left)
    found = clock_wrong(case.clock_ahead)
    if found is None and not seen_open:
        found = None if ChallengeType.DNS in allowed else _no_address(case)
        found = found or (forbidden if would_be or not left else None) or _address(case)
        found = _or_by_record(case, *found)
    notes = _notes(case)
    if found:
        return Verdict(*found, (), notes)
    by_record = seen_open[0] is ChallengeType.DNS_PERSIST and len(case.allowed) > 1
    instead = (_no_address(case) or _address(case))[0] if by_record else None
    return Verdict(None, _outside(case), seen_open, notes + _cached(case), instead)


def _is_open(case: _Case, kind: ChallengeType) -> bool:
    if kind is ChallengeType.DNS:
        return True
    if kind is ChallengeType.DNS_PERSIST:
        return case.record is None
    if kind is ChallengeType.HTTP:
        return bool(case.used) and all(case.arrives(one) for one in case.used)
    return bool(case.used) and all(one.tls is not None and bool(one.tls.marker) for one in case.used)


def _outside(case: _Case) -> Confidence:
    """How sure it is that others would see the answer as well."""
    told = {seen_outside(case.seen, one)[0] for one in case.used}
    return Confidence.INSIDE if Confidence.INSIDE in told else Confidence.CERTAIN


def clock_wrong(ahead: float, whose: str = "the CA") -> tuple[Failure, Confidence] | None:
    """What a clock means that is `ahead` seconds ahead of this machine's; None where both may be right."""
    off = abs(ahead)
    if off <= CLOCK_TOLERANCE:
        return None
    amount = f"{off / 86400:.0f} days" if off > 2 * 86400 else f"{off / 60:.0f} minutes"
    cause = f"this machine's clock is {amount} {'behind' if ahead > 0 else 'ahead of'} {whose}'s"
    evidence = Evidence(f"Date of {whose}'s answer", f"{ahead:+.0f} s from this machine's clock")
    harmful = off > CLOCK_HARMFUL  # a cache in between may send a Date that is minutes old
    return rows.CLOCK_WRONG(cause, evidence), Confidence.CERTAIN if harmful else Confidence.INSIDE


def _no_address(case: _Case) -> _Found | None:
    """What is wrong with the name, where it has no address at all."""
    asked = [one for one in case.seen.dns if one.record in {"A", "AAAA"}]
    if case.seen.addresses or not asked:
        return None
    host, by = case.seen.host, ", ".join(dict.fromkeys(one.server for one in asked))
    statuses = {one.status for one in asked}
    alias = next((one for one in reversed(case.seen.dns) if one.record == "CNAME"), None)
    through = f", through its alias {alias.values[0]}," if alias else ""
    if "server-failure" in statuses:
        broken = " and ".join(one.record for one in asked if one.status == "server-failure")
        kind, cause = rows.DNS_SERVER_FAILURE, f"{by} cannot say which {broken} records {host} has"
    elif "no-answer" in statuses:
        kind, cause = rows.DNS_NO_ANSWER, f"nothing came back from {by} for {host}"
    elif statuses == {"no-such-name"}:
        kind, cause = rows.DNS_NO_SUCH_NAME, f"{by} says that {host}{through} does not exist"
    else:
        kind, cause = rows.DNS_NO_ADDRESS, f"{by} says that {host}{through} has neither an A nor an AAAA record"
    confidence, because = names_seen_outside(asked)
    return kind(cause, *_dns(case, "A", "AAAA", "CNAME"), *because), confidence


def _or_by_record(case: _Case, failure: Failure, confidence: Confidence) -> _Found:
    """With the way that needs no port, where it is allowed; it alone, where it is all that is."""
    if case.record is None or failure.kind is rows.CAA_FORBIDS:
        return failure, confidence
    other, sure = case.record
    if set(case.allowed) == {ChallengeType.DNS_PERSIST}:
        return other, sure
    remedy = f"{failure.remedy} Or, without any port: {other.remedy}"
    return replace(failure, remedy=remedy, evidence=(*failure.evidence, *other.evidence)), confidence


def _caa(case: _Case) -> tuple[tuple[ChallengeType, ...], _Found | None]:
    """The challenges that CAA leaves, and the failure where it takes one away; nothing without a CA's name."""
    decides = caa.deciding(case.seen.dns)
    if decides is None or not case.identities:
        return case.allowed, None
    if not decides.values:
        silent = decides.status == "no-answer"
        kind = rows.DNS_NO_ANSWER if silent else rows.DNS_SERVER_FAILURE
        cause = f"{decides.server} does not say which CAA records {decides.name} has, and without them CAs refuse"
        return (), (kind(cause, dns_evidence(decides)), Confidence.INSIDE)
    wildcard = case.seen.host.startswith("*.")
    left, forbids = caa.open_by_caa(
        caa.records(decides), case.identities, case.account_url, wildcard=wildcard, allowed=case.allowed
    )
    if not forbids:
        return left, None
    confidence, because = names_seen_outside([decides])
    cause = f"at {decides.name}: {forbids}"
    remedy = f'Add `{decides.name}. CAA 0 issue "{case.identities[0]}"`, or remove the record that forbids it.'
    evidence = (dns_evidence(decides), *_cached(case, "CAA"), *because)
    return left, (rows.CAA_FORBIDS(cause, *evidence, remedy=remedy), confidence)


def _address(case: _Case) -> _Found:
    """What is wrong at the first address that CAs would ask in vain."""
    if not case.used:
        cause = f"{case.seen.host} cannot be shown by {' or '.join(case.allowed) or 'nothing'}"
        return rows.NO_CHALLENGE(cause, *_dns(case, "A", "AAAA", "CNAME")), Confidence.CERTAIN
    by_tls_alone = ChallengeType.HTTP not in case.allowed
    bad = next((one for one in case.used if by_tls_alone or not case.arrives(one)), case.used[0])
    kind, cause, remedy = _why(case, bad, by_tls_alone=by_tls_alone)
    confidence, because = seen_outside(case.seen, bad)
    four = [one for one in case.seen.addresses if ":" not in one.address]
    if four and bad.hops and ":" in bad.address and not by_tls_alone and all(case.arrives(one) for one in four):
        by_four = ", ".join(one.address for one in four)
        kind, remedy = rows.IPV6_BROKEN, ""
        cause = f"DNS has {bad.address}, but {why(case.trail(bad))[1]}; by IPv4 ({by_four}) Perijove answers"
        if bad.hops[0].error:
            confidence, because = (
                Confidence.INSIDE,
                (Evidence("CAs differ", "some try IPv4 where IPv6 does not connect"),),
            )
    evidence = [*_dns(case, "A", "AAAA", "CNAME"), *map(hop_evidence, bad.hops)]
    evidence += [handshake_evidence(bad.tls)] if bad.tls is not None else []
    return kind(cause, *evidence, *because, remedy=remedy), confidence


def _why(case: _Case, bad: AddressSeen, *, by_tls_alone: bool) -> Why:
    """The row, its sentence and its remedy for one address."""
    if by_tls_alone or not bad.hops:
        seen = handshake_evidence(bad.tls) if bad.tls is not None else None
        said = f"{seen.where}: {seen.saw}" if seen else f"nothing was asked at {bad.address}"
        return rows.NO_CHALLENGE, f"only tls-alpn-01 is allowed, and the {said}", ""
    trail = case.trail(bad)
    if bad.ours is not False or any(hop.via for hop in bad.hops) or trail.last.marker == case.marker:
        return why(trail)
    own = ", ".join(case.seen.own_addresses[:6]) or "none that others reach"
    answered = f"{who(trail.last)} {answer(trail.last)}" if trail.last.status else answer(trail.last)
    cause = f"{case.seen.host} leads to {bad.address}, this machine has {own}; there {answered}"
    record = "AAAA" if ":" in bad.address else "A"
    remedy = (
        f"Change the {record} record of {case.seen.host} to this machine's address. Where {bad.address} is a web "
        f"server in front of it: {trail.pass_on} Then name it in `service.behind`."
    )
    return rows.DNS_WRONG_ADDRESS, cause, remedy


def _notes(case: _Case) -> tuple[Evidence, ...]:
    """Findings that stop no CA."""
    notes = []
    for one in case.seen.addresses:
        through = case.arrives(one)
        if through and len(one.hops) > 1:
            shown = one.hops[-1].certificate
            tls = f", the certificate there is {certificate(shown)}; CAs do not mind" if shown else ""
            notes.append(Evidence(one.address, f"reached through {len(one.hops) - 1} redirect(s){tls}"))
        if through and one.hops[-1].marker != case.marker:
            notes.append(Evidence(one.address, "the answer is right, but our solver's header is taken out on the way"))
        if not through and one not in case.used:
            notes.append(Evidence(one.address, "does not lead here, and CAs ask IPv6 first: visitors by IPv4 are lost"))
        because = seen_outside(case.seen, one)[1]
        notes.extend(because if through else ())
    notes += [dns_evidence(one) for one in _failing(case)]
    return tuple(notes)


def _failing(case: _Case) -> list[DnsSeen]:
    """Questions that were not answered properly, though an address is known."""
    bad = {"server-failure", "no-answer"}
    return [one for one in case.seen.dns if case.seen.addresses and one.status in bad]


def _dns(case: _Case, *records: str) -> tuple[Evidence, ...]:
    asked = tuple(dns_evidence(one) for one in case.seen.dns if one.record in records)
    return asked + _cached(case, *records)


def _cached(case: _Case, *records: str) -> tuple[Evidence, ...]:
    """What resolvers remember otherwise; without `records` of all types."""
    now = {(one.name, one.record): one for one in case.seen.dns}
    olds = (one for one in case.seen.cached if not records or one.record in records)
    return tuple(cached_evidence(old, now[old.name, old.record]) for old in olds if (old.name, old.record) in now)
