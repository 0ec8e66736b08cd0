"""Which row a CA's refusal is, how long to wait, and what is kept of its words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perijove.backends.acme import problems
from perijove.backends.acme.problems import Asked, Refusal
from perijove.backends.acme.views import problem
from perijove.domain.certificate_failures import (
    ACME_ACCOUNT_REFUSED,
    ACME_EAB_REQUIRED,
    ACME_ERROR,
    ACME_NOT_ACME,
    ACME_RATE_LIMITED,
    ACME_TERMS_CHANGED,
    ACME_UNAVAILABLE,
    CAA_FORBIDS,
    NAME_REJECTED,
    ORDER_LOST,
    PROFILE_UNKNOWN,
)
from perijove.domain.certificates import Problem
from perijove.domain.failures import Failure, Kind

NOW = 1_790_000_000.0
WHERE = "POST https://ca.example/order"


def refusal(kind: str, status: int = 400, detail: str = "because", asked: Asked = Asked.OTHER, **more: Any) -> Refusal:
    document = {"type": problems.PREFIX + kind, "detail": detail, **more}
    return Refusal(asked, WHERE, problem(document, status), said_at=NOW)


def failure(kind: str, status: int = 400, detail: str = "because", asked: Asked = Asked.OTHER, **more: Any) -> Failure:
    return problems.failure(refusal(kind, status, detail, asked, **more))


@pytest.mark.parametrize(
    ("kind", "status", "asked", "row"),
    [
        ("caa", 403, Asked.ORDER, CAA_FORBIDS),
        ("rejectedIdentifier", 400, Asked.NEW_ORDER, NAME_REJECTED),
        ("unsupportedIdentifier", 400, Asked.NEW_ORDER, NAME_REJECTED),
        ("invalidProfile", 400, Asked.NEW_ORDER, PROFILE_UNKNOWN),
        ("externalAccountRequired", 403, Asked.ACCOUNT, ACME_EAB_REQUIRED),
        ("unauthorized", 403, Asked.BOUND_ACCOUNT, ACME_EAB_REQUIRED),
        ("malformed", 400, Asked.BOUND_ACCOUNT, ACME_EAB_REQUIRED),
        ("malformed", 400, Asked.ACCOUNT, ACME_ERROR),
        ("unauthorized", 403, Asked.ACCOUNT, ACME_ACCOUNT_REFUSED),
        ("unauthorized", 403, Asked.NEW_ORDER, ACME_ACCOUNT_REFUSED),
        ("unauthorized", 403, Asked.ORDER, ACME_ERROR),
        ("invalidContact", 400, Asked.ACCOUNT, ACME_ACCOUNT_REFUSED),
        ("unsupportedContact", 400, Asked.BOUND_ACCOUNT, ACME_ACCOUNT_REFUSED),
        ("badPublicKey", 400, Asked.ACCOUNT, ACME_ACCOUNT_REFUSED),
        ("badSignatureAlgorithm", 400, Asked.ACCOUNT, ACME_ACCOUNT_REFUSED),
        ("accountDoesNotExist", 400, Asked.NEW_ORDER, ACME_ACCOUNT_REFUSED),
        ("userActionRequired", 403, Asked.NEW_ORDER, ACME_TERMS_CHANGED),
        ("malformed", 404, Asked.ORDER, ORDER_LOST),
        ("malformed", 410, Asked.ORDER, ORDER_LOST),
        ("malformed", 404, Asked.NEW_ORDER, ACME_ERROR),
        ("malformed", 404, Asked.DIRECTORY, ACME_NOT_ACME),
        ("badCSR", 400, Asked.ORDER, ACME_ERROR),
        ("somethingNew", 409, Asked.ORDER, ACME_ERROR),
        ("rateLimited", 429, Asked.NEW_ORDER, ACME_RATE_LIMITED),
        ("rateLimited", 403, Asked.NEW_ORDER, ACME_RATE_LIMITED),
        ("rateLimited", 503, Asked.NEW_ORDER, ACME_UNAVAILABLE),
        ("serverInternal", 400, Asked.ORDER, ACME_UNAVAILABLE),
        ("malformed", 502, Asked.ORDER, ACME_UNAVAILABLE),
    ],
)
def test_a_problem_is_a_row(kind: str, status: int, asked: Asked, row: Kind) -> None:
    assert failure(kind, status, asked=asked).kind is row


def test_an_order_that_a_closed_account_asks_for_is_the_accounts_fault() -> None:
    told = failure("unauthorized", 403, 'Account is not valid, has status "deactivated"', Asked.ORDER)
    assert told.kind is ACME_ACCOUNT_REFUSED
    assert told.cause == 'Account is not valid, has status "deactivated"'


@pytest.mark.parametrize(
    ("status", "asked", "detail", "row"),
    [
        (404, Asked.ORDER, "", ORDER_LOST),
        (404, Asked.ORDER, "<html>", ACME_NOT_ACME),
        (403, Asked.ORDER, "<html>", ACME_NOT_ACME),
        (302, Asked.NEW_ORDER, "Location: https://portal.example/", ACME_NOT_ACME),
        (511, Asked.NEW_ORDER, "<html>", ACME_NOT_ACME),
        (502, Asked.NEW_ORDER, "<html>", ACME_UNAVAILABLE),
        (429, Asked.NEW_ORDER, "", ACME_RATE_LIMITED),
    ],
)
def test_an_answer_without_a_problem_document_is_a_row(status: int, asked: Asked, detail: str, row: Kind) -> None:
    assert problems.failure(Refusal(asked, WHERE, Problem("about:blank", detail, status))).kind is row


def test_the_cause_is_found_among_subproblems() -> None:
    below = [{"type": problems.PREFIX + "malformed"}, {"type": problems.PREFIX + "caa", "detail": "forbidden"}]
    told = failure("compound", 403, "two problems", Asked.ORDER, subproblems=below)
    assert told.kind is CAA_FORBIDS
    assert "forbidden" in told.evidence[0].saw


@pytest.mark.parametrize("below", ["text", [1, None, {"type": 3}], {"a": 1}])
def test_subproblems_that_are_none_do_no_harm(below: Any) -> None:
    assert failure("malformed", subproblems=below).kind is ACME_ERROR


@pytest.mark.parametrize(
    ("kind", "detail", "header", "after"),
    [
        ("rateLimited", "too many", "120", 120),
        ("rateLimited", "too many", "Mon, 21 Sep 2026 14:20:20 GMT", 420),
        ("rateLimited", "too many (50), retry after 2026-09-21 14:23:20 UTC: see https://ca.example", "", 600),
        ("rateLimited", "too many, retry after 2026-09-21T14:23:20Z", "", 600),
        ("rateLimited", "too many, retry after 2026-09-21T14:23:20.5Z", "30", 30),
        ("rateLimited", "too many, retry after 1999-01-01T00:00:00Z", "", 1),
        ("rateLimited", "too many", "", 3600),
        ("rateLimited", "too many", "soon", 3600),
        ("rateLimited", "too many", "999999999", 7 * 86400),
        ("serverInternal", "maintenance", "", 60),
        ("serverInternal", "maintenance", "0", 1),
    ],
)
def test_how_long_to_wait_is_the_headers_or_the_words(kind: str, detail: str, header: str, after: float) -> None:
    said = problem({"type": problems.PREFIX + kind, "detail": detail}, 429 if kind == "rateLimited" else 500)
    told = problems.failure(Refusal(Asked.NEW_ORDER, WHERE, said, problems.seconds(header, NOW), NOW))
    assert told.after == after


def test_the_problem_document_is_kept_whole() -> None:
    one = refusal("ofTomorrow", 409, "conflict", instance="https://ca.example/x", subproblems=[{"type": "t", "a": [1]}])
    (seen,) = problems.failure(one).evidence
    status, _, document = seen.saw.partition(" ")
    assert (seen.where, status) == (WHERE, "409")
    assert json.loads(document) == {
        "type": problems.PREFIX + "ofTomorrow",
        "detail": "conflict",
        "instance": "https://ca.example/x",
        "subproblems": [{"type": "t", "a": [1]}],
    }


def test_words_without_end_are_cut_and_made_printable() -> None:
    told = failure("malformed", detail="a\x1b[31m\u202e" + "b" * 9000 + ".")
    assert len(told.cause) <= 300
    assert len(told.evidence[0].saw) <= 2000
    assert told.cause.isprintable()


def test_a_problem_without_words_is_told_by_its_type() -> None:
    assert failure("ofTomorrow", 400, "").cause == "it answered 400 urn:ietf:params:acme:error:ofTomorrow"


@pytest.mark.parametrize(
    ("instance", "terms", "address"),
    [
        ("https://ca.example/agree", "https://ca.example/terms", "https://ca.example/agree"),
        ("", "https://ca.example/terms", "https://ca.example/terms"),
        ("javascript:1", "", "it names none"),
    ],
)
def test_new_terms_name_the_address_to_open(instance: str, terms: str, address: str) -> None:
    said = problem({"type": problems.PREFIX + "userActionRequired", "instance": instance}, 403)
    told = problems.failure(Refusal(Asked.NEW_ORDER, WHERE, said, terms=terms))
    assert (told.evidence[0].where, told.evidence[0].saw) == ("the address to open", address)


def test_an_unknown_profile_names_those_there_are() -> None:
    assert problems.unknown_profile("x", ("classic", "shortlived"), "u").evidence[0].saw == "classic, shortlived"
    assert problems.unknown_profile("x", (), "u").evidence[0].saw == "none"
