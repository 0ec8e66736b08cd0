from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.certifying.folding import Standing, certificate_record, issuer_record, order_record
from perijove.certifying.formatting import DAY, moment
from perijove.certifying.records import CertificateRecord
from perijove.certifying.renewal import RenewalDecision
from perijove.domain import certificate_failures as rows
from perijove.domain.certificate_events import (
    Certified,
    ChallengeAnswered,
    ChallengePresented,
    ChallengeSeen,
    Foreseen,
    HookRan,
    Issued,
    IssuerChosen,
    Looked,
    OrderBegun,
    OrderPlaced,
    OrderSeen,
    Revoked,
    Served,
    Waiting,
)
from perijove.domain.certificates import (
    CertificateSpec,
    ChallengeType,
    Confidence,
    Issuer,
    IssuerKind,
    OrderStatus,
    Problem,
    Secret,
)
from perijove.domain.events import Entry, Event, Failed
from perijove.domain.failures import Evidence
from perijove.domain.wire import encode
from perijove.web.certificate_objects import secret

NOW = 1_800_000_000.0
HOST, ORDER = "binder.example.org", "binder.example.org-1"
ACME = Issuer("letsencrypt", IssuerKind.ACME, "https://ca.example/dir")
SPEC = CertificateSpec(HOST, (ACME,))
SECRET = Secret(
    HOST, "r1", (HOST,), NOW - DAY, NOW + 89 * DAY, "01", "f" * 64, "R11", "letsencrypt", ACME.directory, "ari",
    Path("/s/tls.crt"), Path("/s/tls.key"),
)  # fmt: skip
RED = rows.NOT_FORWARDED("nginx answers 404", Evidence("192.0.2.1:80", "404"))
LATER = RenewalDecision(False, "it is renewed with 1/3 left", NOW + 60 * DAY)

BEGUN: list[Event] = [
    OrderBegun(ORDER, HOST, "DoesNotExist", "there is no certificate yet"),
    Looked(None, Confidence.CERTAIN, (ChallengeType.HTTP,), 0.01),
    IssuerChosen("letsencrypt", ACME.directory),
    OrderPlaced("letsencrypt", ACME.directory, "o/1", rehearsal=False, expires=0),
]
SHOWN: list[Event] = [*BEGUN, ChallengePresented(ChallengeType.HTTP, "c/1", "token"), ChallengeAnswered("c/1")]
DONE: list[Event] = [
    *SHOWN,
    ChallengeSeen("c/1", "valid", None),
    OrderSeen(OrderStatus.READY, None),
    Issued("r1", "letsencrypt", "01", NOW, NOW + DAY),
    Served("r1", "127.0.0.1:443", trusted=True),
    Certified("r1"),
]


def entries(events: Sequence[Event], subject: str = f"order/{ORDER}", at: float = NOW - 100) -> list[Entry]:
    return [Entry(number, at + number, subject, event) for number, event in enumerate(events, 1)]


STATES = [
    pytest.param(BEGUN[:1], "", "looking", "", id="begun"),
    pytest.param([*BEGUN[:1], Looked(RED, Confidence.CERTAIN, (), 0.1)], "", "looking", RED.message, id="red"),
    pytest.param(BEGUN, "pending", "ordering", "", id="placed"),
    pytest.param([*SHOWN, OrderSeen(OrderStatus.READY, None)], "ready", "ordering", "", id="ready"),
    pytest.param([*BEGUN, Waiting("the CA has …", None, 0)], "pending", "ordering", "the CA has …", id="waits"),
    pytest.param(DONE[:-2], "valid", "serving", "", id="issued"),
    pytest.param(DONE, "valid", "certified", "", id="certified"),
    pytest.param([*BEGUN, Failed(RED)], "errored", "failed", RED.message, id="failed"),
    pytest.param(
        [*BEGUN, OrderSeen(OrderStatus.INVALID, Problem("t", "says no")), Failed(RED)],
        "invalid",
        "failed",
        RED.message,
        id="invalid",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("events", "state", "step", "reason"), STATES)
def test_an_order_as_its_events_make_it(events: list[Event], state: str, step: str, reason: str) -> None:
    record = order_record(ORDER, entries(events))
    assert (record.state, record.step, record.reason) == (state, step, reason)
    assert (record.host, record.cause, record.created_at) == (HOST, "DoesNotExist", NOW - 99)
    assert bool(record.ended_at) == (step in ("certified", "failed"))


def test_a_hook_that_failed_is_told_at_its_order() -> None:
    failed = rows.HOOK_FAILED("exit code 1")
    record = order_record(ORDER, entries([*DONE[:-1], HookRan("copy-it", failed), DONE[-1]]))
    assert record.reason == f"copy-it: {failed.message}"
    assert record.failure is None


CHALLENGES = [
    pytest.param(SHOWN[:-1], ("pending", True, False, "the answer stands"), id="presented"),
    pytest.param(SHOWN, ("pending", True, True, "the CA was told to look"), id="answered"),
    pytest.param([*SHOWN, ChallengeSeen("c/1", "processing", None)], ("processing", True, True, ""), id="processing"),
    pytest.param(DONE, ("valid", False, False, ""), id="valid"),
    pytest.param(
        [*SHOWN, ChallengeSeen("c/1", "invalid", Problem("t", "404"))], ("invalid", False, False, "404"), id="invalid"
    ),
    pytest.param([*SHOWN, Failed(RED)], ("pending", False, True, "the CA was told to look"), id="cut off"),
]


@pytest.mark.parametrize(("events", "told"), CHALLENGES)
def test_a_challenge_as_its_events_make_it(events: list[Event], told: tuple[object, ...]) -> None:
    (record,) = order_record(ORDER, entries(events)).challenges
    assert (record.state, record.presented, record.processing, record.reason) == told
    assert (record.name, record.type, record.token) == (f"{ORDER}-1", "http-01", "token")


ISSUERS = [
    pytest.param([], "Unknown", "NotAskedYet", id="nobody asked"),
    pytest.param(DONE, "True", "Ready", id="it signed"),
    pytest.param([*BEGUN[:3], Failed(rows.ACME_EAB_REQUIRED("binding"))], "False", "Failed", id="it refuses"),
    pytest.param(
        [*BEGUN, Failed(rows.VALIDATION_FAILED("404"))], "True", "Ready", id="the host's fault is not its own"
    ),
]


@pytest.mark.parametrize(("events", "status", "reason"), ISSUERS)
def test_an_issuer_by_what_became_of_its_orders(events: list[Event], status: str, reason: str) -> None:
    record = issuer_record(ACME, [HOST], [entries(events)])
    (condition,) = record.conditions
    assert (condition.type, condition.status, condition.reason) == ("Ready", status, reason)
    assert record.ready is (status == "True")
    assert record.hosts == (HOST,)


def test_the_embedded_ca_is_ready_before_anybody_asks() -> None:
    assert issuer_record(Issuer("local", IssuerKind.LOCAL), [], []).ready


def test_a_secret_names_its_files_and_holds_no_key() -> None:
    told = json.dumps(secret(SECRET))
    assert '"/s/tls.key"' in told
    assert '"type": "kubernetes.io/tls"' in told


STANDING = Standing(
    SPEC, None, None, None, (), failing_since=0, next_attempt=0, revoked=None, trusted=False, hsts=False, created_at=NOW
)
READY = replace(STANDING, secret=SECRET, decision=LATER, last=order_record(ORDER, entries(DONE)), trusted=True)
LOOKING = order_record(ORDER, entries([*BEGUN[:1], Looked(RED, Confidence.CERTAIN, (), 0.1)]))
OVER = order_record(ORDER, entries([*BEGUN, Failed(RED)]))
SEEN_RED = entries([Foreseen(RED, Confidence.CERTAIN)], f"certificate/{HOST}", NOW - 7201)
REVOKED = entries([Revoked("01", "keyCompromise")], f"certificate/{HOST}", NOW - 61)[0]

VERDICTS = [
    pytest.param(
        READY,
        f"Ready: from letsencrypt, good until {moment(SECRET.not_after)} (89 d); renewed on {moment(LATER.again_at)}.",
        id="ready",
    ),
    pytest.param(
        replace(READY, before=[], last=None),
        f"Ready: from letsencrypt, good until {moment(SECRET.not_after)} (89 d); renewed on {moment(LATER.again_at)}.",
        id="ready, from before our memory",
    ),
    pytest.param(
        replace(READY, before=SEEN_RED, last=None),
        f"Ready: from letsencrypt, good until {moment(SECRET.not_after)} (89 d); but a renewal would fail since 2 h: "
        f"{RED.kind.title}: nginx answers 404 (seen at 192.0.2.1:80). {RED.remedy}",
        id="foreseen",
    ),
    pytest.param(
        replace(STANDING, last=LOOKING),
        f"Not ready; because it fails since 99 s: {RED.kind.title}: nginx answers 404 (seen at 192.0.2.1:80). "
        f"{RED.remedy} It is looked at again all the time, and asked for as soon as that is put right.",
        id="red",
    ),
    pytest.param(
        replace(STANDING, last=OVER, failing_since=NOW - 7200, next_attempt=NOW + 3600),
        f"Not ready; because it fails since 2 h: {RED.kind.title}: nginx answers 404 (seen at 192.0.2.1:80). "
        f"{RED.remedy} The next attempt is in 60 min, on {moment(NOW + 3600)}.",
        id="failed, and tried again",
    ),
    pytest.param(
        replace(STANDING, last=order_record(ORDER, entries(SHOWN))),
        "Not ready; being got since 99 s: all goes well.",
        id="under way",
    ),
    pytest.param(STANDING, "Not ready.", id="not begun"),
    pytest.param(
        replace(READY, revoked=REVOKED),
        f"Not ready; because it fails since 60 s: The certificate was revoked: on {moment(REVOKED.at)} "
        f"(seen at certificate/{HOST}). `perijove cert issue NAME` asks for a new one.",
        id="revoked",
    ),
]


@pytest.mark.parametrize(("standing", "verdict"), VERDICTS)
def test_the_verdict_in_one_line(standing: Standing, verdict: str) -> None:
    assert certificate_record(standing, NOW).verdict == verdict


def test_an_expired_certificate_is_not_ready() -> None:
    record = certificate_record(READY, SECRET.not_after + 3 * DAY)
    assert record.verdict.startswith("Not ready: the certificate ended 3 d ago")
    assert not record.ready
    assert condition(record, "Ready") == ("False", "Expired")


CONDITIONS = [
    pytest.param(READY, ("True", "Ready"), ("False", "NotDue"), id="ready"),
    pytest.param(STANDING, ("False", "DoesNotExist"), ("False", "NotDue"), id="nothing yet"),
    pytest.param(replace(STANDING, last=LOOKING), ("False", "DoesNotExist"), ("True", "DoesNotExist"), id="under way"),
    pytest.param(replace(READY, last=OVER), ("True", "Ready"), ("False", "Failed"), id="a renewal failed"),
    pytest.param(replace(READY, revoked=REVOKED), ("False", "Revoked"), ("False", "NotDue"), id="revoked"),
]


@pytest.mark.parametrize(("standing", "ready", "issuing"), CONDITIONS)
def test_conditions_have_the_reasons_that_people_know(
    standing: Standing, ready: tuple[str, str], issuing: tuple[str, str]
) -> None:
    record = certificate_record(standing, NOW)
    assert (condition(record, "Ready"), condition(record, "Issuing")) == (ready, issuing)


def condition(record: CertificateRecord, kind: str) -> tuple[str, str]:
    (found,) = [one for one in record.conditions if one.type == kind]
    return found.status, found.reason


def test_what_was_foreseen_before_the_last_attempt_is_over() -> None:
    before = entries([Foreseen(RED, Confidence.CERTAIN)], f"certificate/{HOST}", NOW - 7200)
    assert certificate_record(replace(READY, before=before), NOW).failure is None


def test_a_record_is_plain_json() -> None:
    told = encode(certificate_record(replace(READY, last=OVER), NOW))
    assert json.loads(json.dumps(told))["failure"]["kind"] == "cert.not-forwarded"
