"""May this CA issue for this name? In: the CAA records that were seen, who the CA is. Out: why not, or nothing. Pure.

RFC 8659 says which records decide, RFC 8657 what their parameters `accounturi` and `validationmethods` mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from perijove.domain.certificates import ChallengeType, DnsSeen

_RECORD = re.compile(r'(\d+) (\w+) "(.*)"', re.DOTALL)
_UNDERSTOOD = {"issue", "issuewild", "iodef", "issuemail", "contactemail", "contactphone", "issuevmc"}
"""Tags that CAs of web certificates understand, or may pass over; any other one that is critical forbids."""
_CRITICAL = 128


@dataclass(frozen=True, slots=True)
class Record:
    """One CAA record: RFC 8659, 4.1."""

    flags: int
    tag: str
    value: str

    @property
    def issuer(self) -> str:
        """The CA's domain; `` where nobody may issue."""
        return self.value.partition(";")[0].strip().lower()

    @property
    def parameters(self) -> dict[str, str]:
        """`tag=value` after the domain, names in lower case."""
        parts = (part.partition("=") for part in self.value.split(";")[1:] if "=" in part)
        return {name.strip().lower(): value.strip() for name, _, value in parts}

    def __str__(self) -> str:
        return f'{self.flags} {self.tag} "{self.value}"'


def records(seen: DnsSeen) -> tuple[Record, ...]:
    """The records of an answer."""
    found = (_RECORD.fullmatch(value) for value in seen.values)
    return tuple(Record(int(one[1]), one[2].lower(), one[3]) for one in found if one)


def deciding(dns: Iterable[DnsSeen]) -> DnsSeen | None:
    """The answer that decides: the first with records on the way up, or a failure before any (RFC 8659, 3)."""
    walk = (one for one in dns if one.record == "CAA")
    return next((one for one in walk if one.values or one.status in {"server-failure", "no-answer"}), None)


def open_by_caa(
    found: tuple[Record, ...], identities: tuple[str, ...], account_url: str, *, wildcard: bool,
    allowed: tuple[ChallengeType, ...],
) -> tuple[tuple[ChallengeType, ...], str]:  # fmt: skip
    """The challenges that these records leave, and what forbids the others; `` where nothing does."""
    for one in found:
        if one.flags & _CRITICAL and one.tag not in _UNDERSTOOD:
            return (), f"`{one}` is critical, and CAs do not know the tag {one.tag}"
    wild = [one for one in found if one.tag == "issuewild"] if wildcard else []
    relevant = wild or [one for one in found if one.tag == "issue"]
    if not relevant:
        return allowed, ""
    known = {identity.lower() for identity in identities}
    named = [one for one in relevant if one.issuer in known]
    if not named:
        whom = (
            f"others issue, and not {' or '.join(identities)}"
            if any(one.issuer for one in relevant)
            else "nobody issue"
        )
        return (), f"{_told(relevant)} lets {whom}"
    bound = [one for one in named if one.parameters.get("accounturi", account_url) == account_url or not account_url]
    if not bound:
        return (), f"{_told(named)} is for another account than {account_url}"
    left = tuple(kind for kind in allowed if any(_allows(one, kind) for one in bound))
    refused = " or ".join(kind for kind in allowed if kind not in left)
    return left, f"{_told(bound)} does not allow {refused}" if refused else ""


def _told(found: list[Record]) -> str:
    return " and ".join(f"`{one}`" for one in found[:4])


def _allows(one: Record, kind: ChallengeType) -> bool:
    methods = one.parameters.get("validationmethods")
    return methods is None or kind in {method.strip() for method in methods.split(",")}
