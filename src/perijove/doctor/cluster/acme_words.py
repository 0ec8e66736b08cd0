"""What CAs and cert-manager say when they refuse, and which failure that is. In: their words. Pure.

Facts: error types of RFC 8555, 6.7; cert-manager's sentences in pkg/controller/acmechallenges/sync.go (read on its main
branch), pkg/issuer/acme/http and pkg/controller/acmeorders; Boulder's in va/caa.go, va/dns.go, bdns/dns.go,
bdns/problem.go and ra/ra.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from perijove.domain import cluster_tls_failures as rows
from perijove.domain.cluster import moment
from perijove.domain.failures import Kind

_RETRY_AFTER = re.compile(r"retry after ([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8}(?:Z| UTC)?)", re.IGNORECASE)
_STATUS = re.compile(r"wrong status code '?([0-9]{3})'?", re.IGNORECASE)

_LIMITS = (
    (rows.DUPLICATE_CERTIFICATE_LIMIT, "exact set of"),
    (rows.DUPLICATE_CERTIFICATE_LIMIT, "duplicate"),
    (rows.FAILED_AUTHORIZATIONS_LIMIT, "failed authorizations"),
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What words mean."""

    kind: Kind
    cause: str
    """A sentence without its full stop."""
    root: Kind | None = None
    """What explains it, where the words say that as well."""


def of_order(words: str, now: float = 0) -> Meaning | None:
    """Why an order was refused; None where the words do not say. `now`: Unix seconds, to tell what is over."""
    low = words.lower()
    if "ratelimited" in low or low.startswith("429 ") or "too many" in low:
        return _limited(words, now)
    if "public suffix" in low or "rejectedidentifier" in low or "cannot issue for" in low:
        return Meaning(rows.ACME_NAME_REFUSED, "The CA does not issue for the name")
    return _of_validation(low)


def _limited(words: str, now: float) -> Meaning:
    low = words.lower()
    until = retry_after(words)
    if is_over(until, now):
        return Meaning(rows.ORDER_RATE_LIMITED, f"The CA took no order until {until}, which is over")
    end = f" until {until}" if until else ""
    for kind, words_of_it in _LIMITS:
        if words_of_it in low:
            return Meaning(rows.ORDER_RATE_LIMITED, f"The CA takes no order{end}", kind)
    return Meaning(rows.ORDER_RATE_LIMITED, f"The CA takes no order{end}: one of its other limits is reached")


def is_over(until: str, now: float) -> bool:
    """Whether the time that a CA named has passed."""
    return bool(until) and 0 < moment(until.replace(" UTC", "Z").replace(" ", "T")) < now


def retry_after(words: str) -> str:
    """The time that the CA names, as it writes it; `` for none."""
    match = _RETRY_AFTER.search(words)
    return match[1] if match else ""


_FORBIDDEN = re.compile(
    r'is forbidden: User "system:serviceaccount:(?P<space>[\w.-]+):(?P<name>[\w.-]+)" cannot (?P<verb>\w+) resource '
    r'"(?P<resource>[\w./-]+)" in API group "(?P<group>[\w.-]*)"'
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A right that a service account lacks, as the API says it (kubernetes pkg apiserver responsewriters/errors.go)."""

    namespace: str
    account: str
    verb: str
    resource: str
    group: str


def refusal(words: str) -> Refusal | None:
    """The right that is lacking; None where the words are no refusal."""
    match = _FORBIDDEN.search(words)
    return Refusal(match["space"], match["name"], match["verb"], match["resource"], match["group"]) if match else None


def of_challenge(words: str, *, presented: bool = True) -> Meaning | None:
    """Why a challenge does not become valid; None where the words do not say.

    While it is not presented, its reason is the bare error of presenting it: "Error presenting challenge: …" stands in
    the event PresentError alone (cert-manager main pkg/controller/acmechallenges/sync.go, Sync).
    """
    low = words.lower()
    if "http-01 challenge propagation" in low or "http01 challenge propagation" in low:
        return _self_check(low)
    if "dns-01 challenge propagation" in low:
        return Meaning(rows.ACME_DNS01_UNSEEN, "cert-manager does not find the record that it had written")
    of_the_ca = _of_validation(low)
    if of_the_ca is not None or presented:
        return of_the_ca
    if "pathtype exact" in low:
        return Meaning(rows.PATHTYPE_EXACT_REFUSED, "The solver's Ingress was refused")
    return Meaning(rows.CHALLENGE_NOT_PRESENTED, "The challenge's answer was not set up")


def _self_check(low: str) -> Meaning:
    match = _STATUS.search(low)
    if match is not None:
        kind = {
            "404": rows.ACME_HTTP01_SELFCHECK_404,
            "401": rows.ACME_HTTP01_SELFCHECK_403,
            "403": rows.ACME_HTTP01_SELFCHECK_403,
            "502": rows.ACME_HTTP01_SELFCHECK_503,
            "503": rows.ACME_HTTP01_SELFCHECK_503,
            "504": rows.ACME_HTTP01_SELFCHECK_503,
        }.get(match[1], rows.ACME_HTTP01_SELFCHECK_FAILED)
        return Meaning(kind, f"cert-manager's look at the challenge was answered with {match[1]}")
    if "no such host" in low or "server misbehaving" in low:
        return Meaning(rows.ACME_NAME_UNRESOLVED, "cert-manager finds no address for the name")
    if any(
        word in low
        for word in ("timeout", "timed out", "deadline exceeded", "refused", "no route", "reset by peer", "eof")
    ):
        return Meaning(rows.ACME_HTTP01_SELFCHECK_UNREACHABLE, "cert-manager's look at the challenge got no answer")
    return Meaning(rows.ACME_HTTP01_SELFCHECK_FAILED, "cert-manager's look at the challenge was answered wrong")


_UNRESOLVED = ("error:dns", "nxdomain", "no valid ip addresses", "no valid a records", "servfail", "no such host")


def _of_validation(low: str) -> Meaning | None:
    """The CA's own words, by their types."""
    if "looking up caa" in low:
        return Meaning(rows.ACME_CAA, "The CA got no answer when it looked for CAA records")
    if any(word in low for word in ("error:caa", "caa record", "rechecking caa")):
        return Meaning(rows.ACME_CAA, "CAA records do not let this CA issue a certificate")
    if any(word in low for word in ("looking up txt", "no txt record found", "incorrect txt record")):
        return Meaning(rows.ACME_DNS01_UNSEEN, "The CA does not find the record that cert-manager had written")
    if any(word in low for word in _UNRESOLVED):
        return Meaning(rows.ACME_NAME_UNRESOLVED, "The CA finds no address for the name")
    if "error:connection" in low or "likely firewall problem" in low or "timeout during connect" in low:
        return Meaning(rows.ACME_CHALLENGE_UNREACHABLE, "The CA could not connect")
    if "public suffix" in low or "rejectedidentifier" in low or "cannot issue for" in low:
        return Meaning(rows.ACME_NAME_REFUSED, "The CA does not issue for the name")
    wrong = ("error:unauthorized", "invalid response from", "error:incorrectresponse", "error:tls")
    if any(word in low for word in wrong):
        return Meaning(rows.ACME_CHALLENGE_WRONG, "The CA was answered by somebody else than the solver")
    return None
