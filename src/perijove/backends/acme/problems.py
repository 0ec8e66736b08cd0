"""A CA's refusal as a failure of the catalogue, its problem document whole. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum, auto

from perijove.backends.acme.views import moment, plain
from perijove.domain import certificate_failures as rows
from perijove.domain.certificates import Problem
from perijove.domain.failures import Evidence, Failure, Kind

PREFIX = "urn:ietf:params:acme:error:"
EVIDENCE = 2000
"""Characters of a problem document that stand in a failure."""
CAUSE = 300
RATE_PAUSE, DOWN_PAUSE, LONGEST_PAUSE = 3600.0, 60.0, 7 * 86400.0
"""Seconds: of a limit that does not say how long, of a CA that is down and does not say, and the longest believed."""

_BY_TYPE = (
    ("caa", rows.CAA_FORBIDS),
    ("rejectedIdentifier", rows.NAME_REJECTED),
    ("unsupportedIdentifier", rows.NAME_REJECTED),
    ("invalidProfile", rows.PROFILE_UNKNOWN),
    ("externalAccountRequired", rows.ACME_EAB_REQUIRED),
    ("userActionRequired", rows.ACME_TERMS_CHANGED),
    ("invalidContact", rows.ACME_ACCOUNT_REFUSED),
    ("unsupportedContact", rows.ACME_ACCOUNT_REFUSED),
    ("invalidEmail", rows.ACME_ACCOUNT_REFUSED),
    ("badPublicKey", rows.ACME_ACCOUNT_REFUSED),
    ("accountDoesNotExist", rows.ACME_ACCOUNT_REFUSED),
)
_AFTER = re.compile(r"retry after (\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)? ?(?:Z|UTC|\+0000)", re.IGNORECASE)


class Asked(Enum):
    """What for. It decides what an ambiguous refusal means."""

    DIRECTORY = auto()
    ACCOUNT = auto()
    BOUND_ACCOUNT = auto()
    """with an external account binding"""
    NEW_ORDER = auto()
    ORDER = auto()
    """one that we have, or what hangs on it"""
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is none of success."""

    asked: Asked
    where: str
    """`POST https://…`"""
    problem: Problem
    retry_after: float = 0
    """Seconds, of its header; 0 without one."""
    said_at: float = 0
    """The answer's Date, else now, in Unix seconds: what `retry after <UTC>` counts from."""
    profiles: tuple[str, ...] = ()
    """What the directory offers."""
    terms: str = ""
    """URL of the terms, where the answer links to them."""


def types(problem: Problem) -> tuple[str, ...]:
    """The problem's type and its subproblems', without the prefix, in the order of what they say of the cause."""
    below = problem.document.get("subproblems")
    inner = [one.get("type", "") for one in below if isinstance(one, dict)] if isinstance(below, list) else []
    said = [problem.type, *(one for one in inner if isinstance(one, str))]
    return tuple(one.removeprefix(PREFIX) for one in said)


def failure(refusal: Refusal) -> Failure:
    """The row that a refusal stands for, with the problem document as evidence."""
    problem, seen = refusal.problem, evidence(refusal)
    kind = _kind(refusal)
    cause = plain(" ".join(problem.detail.split()), CAUSE).rstrip(". ")
    cause = cause or f"it answered {problem.status or 'a problem'} {problem.type.removeprefix('about:blank')}".strip()
    if kind is rows.ACME_RATE_LIMITED:
        return kind(cause, seen, after=_pause(refusal, RATE_PAUSE))
    if kind is rows.ACME_UNAVAILABLE:
        return kind(cause, seen, after=_pause(refusal, DOWN_PAUSE))
    if kind is rows.PROFILE_UNKNOWN:
        return kind(cause, _offered(refusal.profiles), seen)
    if kind is rows.ACME_TERMS_CHANGED:
        instance = problem.document.get("instance")
        address = instance if isinstance(instance, str) and instance.startswith("http") else refusal.terms
        return kind(cause, Evidence("the address to open", address or "it names none"), seen)
    return kind(cause, seen)


def unknown_profile(profile: str, profiles: tuple[str, ...], url: str) -> Failure:
    """For one that the directory does not offer, found before the CA was asked."""
    return rows.PROFILE_UNKNOWN(f'"{profile}" is not among those of {url}', _offered(profiles))


def missing(resource: str, url: str) -> Failure:
    """For a directory that lacks what RFC 8555, 7.1.1 wants there."""
    return rows.ACME_NOT_ACME(f"its directory has no {resource}", Evidence(url, f"no {resource}"))


def evidence(refusal: Refusal) -> Evidence:
    """The whole problem document behind its status, bounded."""
    document = refusal.problem.document
    words = json.dumps(document, ensure_ascii=False) if document else refusal.problem.detail
    status = f"{refusal.problem.status} " if refusal.problem.status else ""
    return Evidence(refusal.where, plain(status + words, EVIDENCE))


def seconds(retry_after: str, said_at: float) -> float:
    """A Retry-After, in seconds or as a date (RFC 9110, 10.2.3); 0 where it is neither, at least 1 where it is."""
    if re.fullmatch(r"\d{1,9}", text := retry_after.strip()):
        return min(max(float(text), 1.0), LONGEST_PAUSE)
    at = date(text)
    return min(max(at - said_at, 1.0), LONGEST_PAUSE) if at else 0


def date(text: str) -> float:
    """A date of HTTP as Unix seconds; 0 where it is none."""
    try:
        read = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def _kind(refusal: Refusal) -> Kind:
    problem, asked = refusal.problem, refusal.asked
    said = types(problem)
    if problem.status == 511:  # RFC 6585, 6: a portal wants a login
        return rows.ACME_NOT_ACME
    if problem.status >= 500 or said[0] == "serverInternal":
        return rows.ACME_UNAVAILABLE
    if problem.status == 429 or "rateLimited" in said:
        return rows.ACME_RATE_LIMITED
    known = dict(_BY_TYPE)
    if found := next((known[one] for one in said if one in known), None):
        return found
    if asked is Asked.ORDER and problem.status in {404, 410} and (problem.document or not problem.detail):
        return rows.ORDER_LOST
    if asked is Asked.DIRECTORY or not problem.document:
        return rows.ACME_NOT_ACME
    if asked is Asked.BOUND_ACCOUNT and said[0] in {"unauthorized", "malformed"}:
        return rows.ACME_EAB_REQUIRED
    if said[0] == "unauthorized":
        return _unauthorized(refusal)
    if asked in {Asked.ACCOUNT, Asked.BOUND_ACCOUNT} and said[0] == "badSignatureAlgorithm":
        return rows.ACME_ACCOUNT_REFUSED
    return rows.ACME_ERROR


def _unauthorized(refusal: Refusal) -> Kind:
    """CAs say so of accounts that were closed, and of orders that another account of ours placed."""
    if refusal.asked in {Asked.ACCOUNT, Asked.BOUND_ACCOUNT, Asked.NEW_ORDER}:
        return rows.ACME_ACCOUNT_REFUSED
    return rows.ACME_ACCOUNT_REFUSED if "account" in refusal.problem.detail.lower() else rows.ACME_ERROR


def _pause(refusal: Refusal, otherwise: float) -> float:
    """By the header, else by the words, else `otherwise`."""
    if refusal.retry_after:
        return refusal.retry_after
    if told := _AFTER.search(refusal.problem.detail):
        return min(max(moment(f"{told[1]}T{told[2]}Z") - refusal.said_at, 1.0), LONGEST_PAUSE)
    return otherwise


def _offered(profiles: tuple[str, ...]) -> Evidence:
    return Evidence("its directory's profiles", ", ".join(profiles) or "none")
