"""A CA's JSON as views. Tolerant: what we do not know is kept or left out, never an error. Pure.

Raises ValueError, in words, only where nothing can be done with what came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perijove.domain.certificates import (
    AuthorizationView,
    CaDirectory,
    ChallengeView,
    OrderStatus,
    OrderView,
    Problem,
    RenewalWindow,
)

TEXT = 2000
"""Characters that are kept of one text from outside."""
MEMBERS = 100
"""Members that are kept of one list or table."""
DEPTH = 6
MOST_ISSUERS = 10
_DOMAIN = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+")
"""Lower case, no dot at the end: as the CA writes it, it goes into a record."""
AGAIN_LEAST, AGAIN_MOST = 60.0, 86400.0
"""Bounds of the pause between two questions for renewal information (RFC 9773, 4.3.2)."""


@dataclass(frozen=True, slots=True)
class Directory:
    """What a directory offers, and the URLs at which it does."""

    offers: CaDirectory
    urls: Mapping[str, str]


def plain(text: str, limit: int = TEXT) -> str:
    """A text from outside, printable and bounded."""
    cut = text[:limit]
    return cut if cut.isprintable() else "".join(one if one.isprintable() or one == "\n" else " " for one in cut)


def bounded(value: Any, depth: int = DEPTH) -> Any:
    """JSON from outside with an end to each text, list and table."""
    match value:
        case str():
            return plain(value)
        case Mapping() if depth:
            return {plain(str(key), 100): bounded(one, depth - 1) for key, one in list(value.items())[:MEMBERS]}
        case list() if depth:
            return [bounded(one, depth - 1) for one in value[:MEMBERS]]
        case int() | float() | None:
            return value
    return plain(str(value), 200)


def directory(document: Any, url: str, clock_ahead: float = 0) -> Directory:
    """RFC 8555, 7.1.1. Raises ValueError where it is none."""
    table = _table(document)
    urls = {key: value for key, value in table.items() if isinstance(value, str) and value.startswith("http")}
    if missing := [name for name in ("newNonce", "newAccount", "newOrder") if name not in urls]:
        raise ValueError(f"it has no {', '.join(missing)}")
    meta = _part(table, "meta")
    profiles = meta.get("profiles")
    identities = meta.get("caaIdentities")
    offers = CaDirectory(
        url,
        profiles=tuple(plain(str(name), 100) for name in list(profiles)[:MEMBERS])
        if isinstance(profiles, (Mapping, list))
        else (),
        eab_required=meta.get("externalAccountRequired") is True,
        terms=_text(meta, "termsOfService"),
        caa_identities=tuple(plain(str(one), 253) for one in identities[:MEMBERS])
        if isinstance(identities, list)
        else (),
        renewal_info="renewalInfo" in urls,
        clock_ahead=clock_ahead,
        issuer_domain_names=_issuer_names(meta),
        account_hash_prefix=_text(meta, "accountHashPrefix"),
    )
    return Directory(offers, urls)


def problem(document: Any, status: int = 0) -> Problem:
    """RFC 7807; what came as something else is a problem without a type."""
    if not isinstance(document, Mapping):
        return Problem("about:blank", plain(str(document)), status)
    said = document.get("status")
    return Problem(
        _text(document, "type") or "about:blank",
        _text(document, "detail") or _text(document, "title"),
        status or (said if isinstance(said, int) else 0),
        bounded(document),
    )


def order(document: Any, url: str, look_again: float = 0) -> OrderView:
    """RFC 8555, 7.1.3. A status that the RFC does not have ends the order. Raises ValueError where it is none."""
    table = _table(document)
    said, wrong = _text(table, "status"), table.get("error")
    if not said:
        raise ValueError("an order without a status")
    trouble = None if wrong is None else problem(wrong)
    try:
        status = OrderStatus(said)
    except ValueError:
        status = OrderStatus.INVALID
        trouble = trouble or Problem("about:blank", f'its status is "{plain(said, 100)}"', 0, bounded(table))
    authorizations = table.get("authorizations")
    return OrderView(
        url,
        status,
        tuple(one for one in authorizations if isinstance(one, str))[:MEMBERS]
        if isinstance(authorizations, list)
        else (),
        _text(table, "finalize"),
        _text(table, "certificate"),
        trouble,
        moment(_text(table, "expires")),
        look_again,
    )


def authorization(document: Any, url: str) -> AuthorizationView:
    """RFC 8555, 7.1.4; its status may be any word. Raises ValueError where it is none."""
    table = _table(document)
    name = _text(_part(table, "identifier"), "value")
    if not (status := _text(table, "status")) or not name:
        raise ValueError("an authorization without a status or a name")
    challenges = table.get("challenges")
    offered = [one for one in challenges if isinstance(one, Mapping)] if isinstance(challenges, list) else []
    wildcard = table.get("wildcard") is True or name.startswith("*.")
    return AuthorizationView(
        url, name.removeprefix("*."), wildcard, status, tuple(_challenge(one) for one in offered[:MEMBERS])
    )


def challenge_status(document: Any) -> str:
    """Of a challenge asked by itself; `` where it says none."""
    return _text(document, "status") if isinstance(document, Mapping) else ""


def _challenge(table: Mapping[str, Any]) -> ChallengeView:
    """RFC 8555, 8. Newer types have no token."""
    return ChallengeView(
        _text(table, "type"),
        _text(table, "url"),
        _text(table, "token"),
        _text(table, "status") or "pending",
        None if table.get("error") is None else problem(table["error"]),
        _issuer_names(table),
        _text(table, "accounturi"),
    )


def _issuer_names(table: Mapping[str, Any]) -> tuple[str, ...]:
    """draft-ietf-acme-dns-persist-02, 3.1: one to ten domain names, else they count as none; drafts up to 01 wrote them
    with hyphens, as Boulder and Pebble of 2026 do.
    """
    names = table.get("issuerDomainNames", table.get("issuer-domain-names"))
    if not isinstance(names, list) or not 0 < len(names) <= MOST_ISSUERS:
        return ()
    fit = all(isinstance(one, str) and _DOMAIN.fullmatch(one) and len(one) <= 253 for one in names)
    return tuple(names) if fit else ()


def renewal(document: Any, look_again: float = 0) -> RenewalWindow | None:
    """RFC 9773, 4.2; None where the window ends before it starts, or is none. `look_again` is its Retry-After."""
    table = document if isinstance(document, Mapping) else {}
    window = _part(table, "suggestedWindow")
    start, end = moment(_text(window, "start")), moment(_text(window, "end"))
    if not 0 < start < end:
        return None
    explanation = _text(table, "explanationURL")
    if not look_again:
        return RenewalWindow(start, end, explanation)
    return RenewalWindow(start, end, explanation, min(max(look_again, AGAIN_LEAST), AGAIN_MOST))


def moment(text: str) -> float:
    """RFC 3339 as Unix seconds; 0 where it is none."""
    try:
        read = datetime.fromisoformat(text)
        return read.timestamp() if read.tzinfo is not None else 0
    except (ValueError, OverflowError):
        return 0


def _table(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        raise ValueError("its JSON is no object")
    return document


def _part(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = table.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(table: Mapping[str, Any], name: str) -> str:
    value = table.get(name)
    return plain(value) if isinstance(value, str) else ""
