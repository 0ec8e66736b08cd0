"""Every event of the certificate way has its words."""

from __future__ import annotations

from typing import get_args

import pytest

from perijove.domain import certificate_events as e
from perijove.domain.certificate_failures import CA_SLOW, HOOK_FAILED, PORT_REFUSED
from perijove.domain.certificates import ChallengeType, Confidence, OrderStatus, Problem
from perijove.domain.events import Event, Failed
from perijove.web.event_objects import encoded, host_of, told

REFUSED = Problem("urn:ietf:params:acme:error:unauthorized", "Invalid response: 404", 403)
PORT = PORT_REFUSED("192.0.2.1:80 refuses")
EVENTS: list[tuple[Event, str, str, str]] = [
    (e.OrderBegun("a-1", "a", "DoesNotExist", "there is none"), "Normal", "Issuing", "there is none"),
    (
        e.Looked(None, Confidence.CERTAIN, (ChallengeType.HTTP,), 0.012),
        "Normal",
        "Looked",
        "in 12 ms: open for http-01",
    ),
    (e.Looked(PORT, Confidence.INSIDE, (), 0), "Warning", "NotReachable", "(as seen from this machine) [cert.port-ref"),
    (e.IssuerChosen("letsencrypt", "https://ca"), "Normal", "IssuerChosen", "letsencrypt is asked at https://ca"),
    (e.IssuerChosen("zerossl", "", "the first is down"), "Warning", "IssuerChosen", "since the first is down"),
    (e.OrderPlaced("letsencrypt", "", "", True, 0), "Normal", "OrderCreated", "a rehearsal with letsencrypt"),
    (e.OrderPlaced("letsencrypt", "", "", False, 0), "Normal", "OrderCreated", "an order with letsencrypt"),
    (e.ChallengePresented(ChallengeType.DNS, "", "t"), "Normal", "Presented", "The answer for dns-01 stands"),
    (
        e.NameRefused("s1.example.org", PORT),
        "Warning",
        "NameRefused",
        "s1.example.org is left out for an hour: Nothing",
    ),
    (
        e.Looked(PORT, Confidence.CERTAIN, (), 0, "s1.example.org"),
        "Warning",
        "NotReachable",
        "s1.example.org: Nothing listens",
    ),
    (
        e.OrderPlaced("ca", "", "", False, 0, ("a.org", "b.org", "c.org", "d.org")),
        "Normal",
        "OrderCreated",
        "with ca for a.org, b.org, c.org and 1 more",
    ),
    (
        e.ChallengePresented(ChallengeType.HTTP, "", "t", "s1.example.org"),
        "Normal",
        "Presented",
        "s1.example.org: the answer",
    ),
    (e.ChallengeAnswered(""), "Normal", "Started", "The CA was told to look"),
    (e.ChallengeSeen("", "valid", None), "Normal", "DomainVerified", "The challenge is valid"),
    (e.ChallengeSeen("", "processing", None), "Normal", "ChallengePending", "The challenge is processing"),
    (e.ChallengeSeen("", "invalid", REFUSED), "Warning", "ChallengeFailed", ": Invalid response: 404 (unauthorized)"),
    (e.OrderSeen(OrderStatus.PROCESSING, None), "Normal", "OrderProcessing", "The order is processing"),
    (e.OrderSeen(OrderStatus.INVALID, REFUSED), "Warning", "OrderFailed", "Invalid response: 404"),
    (e.Waiting("the CA processes since 12 s", None, 130), "Normal", "Waiting", "12 s; next step in 30 s"),
    (e.Waiting("the CA is slow", CA_SLOW("12 s"), 0), "Warning", "Waiting", "the CA is slow"),
    (
        e.Issued("1", "letsencrypt", "0a1b", 0, 86400),
        "Normal",
        "Issued",
        "serial 0a1b, valid until 1970-01-02 00:00 UTC",
    ),
    (e.Served("1", "127.0.0.1:443", True), "Normal", "Served", "127.0.0.1:443 showed it, trusted by browsers"),
    (e.HookRan("reload", None), "Normal", "HookRan", "reload ran"),
    (e.HookRan("reload", HOOK_FAILED("status 1")), "Warning", "HookFailed", "[cert.renewed-hook-failed]"),
    (e.Certified("1"), "Normal", "Certified", "served and kept"),
    (Failed(PORT), "Warning", "Failed", "192.0.2.1:80 refuses."),
    (e.Foreseen(None, Confidence.CERTAIN), "Normal", "RenewalForeseen", "in order today"),
    (e.Foreseen(PORT, Confidence.CERTAIN), "Warning", "RenewalEndangered", "[cert.port-refused]"),
    (e.Imported("1", "/etc/x.pem"), "Normal", "Imported", "/etc/x.pem"),
    (e.Revoked("0a1b", "superseded"), "Warning", "Revoked", "serial 0a1b (superseded)"),
]


@pytest.mark.parametrize(("event", "sort", "reason", "words"), EVENTS, ids=lambda value: type(value).__name__)
def test_an_event_is_told_in_one_word_and_one_sentence(event: Event, sort: str, reason: str, words: str) -> None:
    found = told(event, 100.0)
    assert found[:2] == (sort, reason)
    assert words in found[2]
    assert "\n" not in found[2]


def test_every_event_of_the_way_has_its_words() -> None:
    assert {type(event) for event, *_ in EVENTS} == {*get_args(e.CertificateEvent), Failed}


def test_a_challenge_s_token_is_not_encoded() -> None:
    assert "token" not in encoded(e.ChallengePresented(ChallengeType.HTTP, "https://ca", "t0ken"))


@pytest.mark.parametrize(
    ("subject", "host"),
    [("order/a-b.example.org-12", "a-b.example.org"), ("certificate/a-b.example.org", "a-b.example.org")],
)
def test_a_subject_names_its_host(subject: str, host: str) -> None:
    assert host_of(subject) == host
