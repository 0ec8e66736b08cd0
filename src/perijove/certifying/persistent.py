"""May a CA be shown a name by a record that stays in DNS? In: what the CA says, our account, answers. Out: why not.

dns-persist-01 (draft-ietf-acme-dns-persist-02). Up to draft 01, as Boulder and Pebble have it in 2026, the record names
the account's URL; from 02 on a hash of it, where the CA's directory has a prefix for that. Pure, but for the solver.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from perijove.certifying.formatting import listed, moment
from perijove.certifying.verdict.outside import names_seen_outside
from perijove.certifying.verdict.sentences import dns_evidence
from perijove.domain.certificate_failures import DNS_PERSIST, NO_CHALLENGE
from perijove.domain.certificate_ports import Probe
from perijove.domain.certificates import (
    Account,
    CaDirectory,
    ChallengeAnswer,
    ChallengeView,
    Confidence,
    DnsSeen,
    HostName,
)
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.persistent_record import PersistentRecord
from perijove.domain.ports import Clock

LABEL = "_validation-persist"
_VALUE = re.compile(r"[\x21-\x3A\x3C-\x7E]*")
"""RFC 8659, 4.2."""
_OURS = frozenset({"accounturi", "policy", "persistuntil"})
Found = tuple[Failure, Confidence]


class PersistentRecords:
    """Implements `Solver` for dns-persist-01: writes nothing, and lets no CA be asked in vain."""

    def __init__(self, probe: Probe, clock: Clock) -> None:
        self._probe, self._clock = probe, clock

    async def present(self, answer: ChallengeAnswer) -> None:
        """Raises Fail: `cert.dns-persist-record`, where nobody would see the record that the challenge wants."""
        if (record := answer.record) is None:
            return
        found = judged(record, await self._probe.texts(record.name), self._clock.now())
        if found is not None and found[1] is Confidence.CERTAIN:
            raise Fail(found[0])

    async def withdraw(self, answer: ChallengeAnswer) -> None:
        """It stays."""


def before_order(
    host: HostName, names: Collection[HostName], directory: CaDirectory, account: Account | None
) -> PersistentRecord | None:
    """The record as far as it is known before the CA is asked: by what its directory says. None where it says nothing.

    The CA's names may be those of its CAA records (draft 01, 2).
    """
    issuers = directory.issuer_domain_names or directory.caa_identities
    return _record(host, names, directory, account, issuers) if account and issuers else None


def of_challenge(
    host: HostName, names: Collection[HostName], directory: CaDirectory, account: Account, challenge: ChallengeView
) -> PersistentRecord:
    """The record that a challenge asks for. Raises Fail: `cert.no-challenge` for one that is malformed (draft, 3.1)."""
    if not challenge.issuer_domain_names:
        cause = "the CA's challenge dns-persist-01 has no list of one to ten names by which records may call it"
        raise Fail(NO_CHALLENGE(cause, Evidence(challenge.url, "issuerDomainNames")))
    record = _record(host, names, directory, account, challenge.issuer_domain_names)
    known = (challenge.account_uri, *record.accounts)
    return replace(record, accounts=tuple(dict.fromkeys(filter(None, known))))


def _record(
    host: HostName, names: Collection[HostName], directory: CaDirectory, account: Account, issuers: tuple[str, ...]
) -> PersistentRecord:
    name, prefix = host.removeprefix("*.").lower(), directory.account_hash_prefix
    accounts = tuple(prefix + account_hash(domain, account) for domain in (name, "*")) if prefix else (account.url,)
    return PersistentRecord(f"{LABEL}.{name}", issuers, accounts, f"*.{name}" in names or host.startswith("*."))


def account_hash(domain: str, account: Account) -> str:
    """What follows the CA's prefix, for a name or for `*` (draft 02, 4.1)."""
    hashed = bytes([len(domain)]) + f"{domain}{account.thumbprint}{account.url}".encode()
    return "sha-256/" + base64.urlsafe_b64encode(hashlib.sha256(hashed).digest()).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class _Text:
    """A TXT record as a CA reads it (RFC 8659, 4.2)."""

    issuer: str
    parameters: dict[str, str]
    malformed: str = ""


def _read(text: str) -> _Text:
    head, *parts = text.split(";")
    issuer, parameters = head.strip(" \t").lower().rstrip("."), dict[str, str]()
    for part in parts:
        tag, equals, value = (one.strip(" \t") for one in part.partition("="))
        tag = tag.lower()
        if not equals or not tag:
            wrong = (
                f"“{part.strip()[:60]}” is no tag=value" if part.strip() else "a semicolon follows that ends nothing"
            )
            return _Text(issuer, parameters, wrong)
        if not _VALUE.fullmatch(value):
            return _Text(issuer, parameters, f"its {tag[:40]} holds a character that may not stand there")
        if tag in _OURS and tag in parameters:
            return _Text(issuer, parameters, f"it has two {tag}")
        parameters[tag] = value
    until = parameters.get("persistuntil", "0")
    return _Text(issuer, parameters, "" if re.fullmatch(r"\d{1,18}", until) else "its persistUntil is no Unix time")


def _wrong(text: str, record: PersistentRecord, now: float) -> tuple[int, str]:
    """How near a text comes to what is wanted, and what is wrong with it still; `` where nothing is."""
    read = _read(text)
    if read.issuer not in record.issuers:
        return 0, f"none names {' or '.join(record.issuers[:3])}"
    if read.malformed:
        return 1, f"the one for {read.issuer} is malformed: {read.malformed}"
    account, until = read.parameters.get("accounturi", ""), float(read.parameters.get("persistuntil", "inf"))
    if account not in record.accounts:
        return 1, f"the one for {read.issuer} names {f'the account {account[:200]}' if account else 'no account'}"
    if record.wildcard and read.parameters.get("policy", "").lower() != "wildcard":
        return 2, "it is not for the wildcard, for which policy=wildcard is missing"
    if until < now:
        return 2, f"its persistUntil has passed: {moment(min(until, 1e11))}"
    return 3, ""


def judged(record: PersistentRecord, seen: Sequence[DnsSeen], now: float) -> Found | None:
    """What keeps a CA from seeing the record; None where all servers that answer show it."""
    answers = [one for one in seen if one.status not in {"no-answer", "server-failure"}]
    wrong = {one.server: max((_wrong(text, record, now) for text in one.values), default=(0, "")) for one in answers}
    red = [one for one in answers if wrong[one.server][0] < 3]
    if answers and not red:
        return None
    confidence, because = names_seen_outside(red or seen)
    remedy = f"Have this record entered in the DNS, once and for all renewals: `{record.line}`"
    if not answers:
        cause = f"nobody could be asked for the TXT records of {record.name}"
    elif len(red) < len(answers):
        cause = f"{listed([one.server for one in red])} does not show the TXT record of {record.name} that others show"
        remedy = "Look whether all of the zone's servers have its newest version; secondaries may lag."
    else:
        said = max(wrong[one.server] for one in red)[1]
        cause = f"of the TXT records at {record.name} {said}" if said else f"there is no TXT record at {record.name}"
    return DNS_PERSIST(cause, *map(dns_evidence, (red or seen)[:4]), *because, remedy=remedy), confidence
