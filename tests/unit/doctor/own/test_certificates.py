"""What is wrong with certificates and with a launch of ours, from facts alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from perijove.doctor.engine import Outcome
from perijove.doctor.own.diagnosis import diagnosed, launchable
from perijove.domain.certificate_failures import (
    CLOCK_WRONG,
    DNS_NO_SUCH_NAME,
    NOT_SERVED,
    NOT_VALID_NOW,
    PORT_REFUSED,
    VALIDATION_FAILED,
)
from perijove.domain.certificates import SeenCertificate
from perijove.domain.failures import DISK_FULL
from perijove.domain.findings import Confidence
from perijove.domain.ground import CertificateSeen, CertificateState, Launched, Own, Shown, Unseen
from perijove.domain.service_failures import KERNEL_UNREACHED
from tests.unit.doctor.own.test_own import NOW, WELL, with_ground, with_service

DAY = 86400.0
HOST, OURS, THEIRS = "a.example", "127.0.0.1:443", "198.51.100.7:443"
RIGHT = SeenCertificate(HOST, (HOST,), "R10", NOW - DAY, NOW + 60 * DAY, "aa", False, True)
WRONG = replace(RIGHT, subject="ingress.local", signed_by="ingress.local", fingerprint="bb", trusted=False)
STATE = CertificateState(HOST, "aa", NOW + 60 * DAY, None, 0, proof=True, today=None, inside=False)
SHOWN = (Shown(OURS, True, RIGHT, ""), Shown(THEIRS, False, RIGHT, ""))


def certified(*shown: Shown, **state: Any) -> Own:
    return replace(WELL, certificates=(CertificateSeen(replace(STATE, **state), shown or SHOWN),))


@pytest.mark.parametrize(
    "own",
    [
        certified(),
        certified(SHOWN[0], Shown(THEIRS, False, replace(RIGHT, fingerprint="cdn"), "")),
        certified(SHOWN[0], Shown(THEIRS, False, None, "refused")),
        certified(SHOWN[0], fingerprint="", not_after=0.0),
        replace(WELL, launch=Launched(3, 2.0, None)),
    ],
    ids=["all in order", "a CDN's own in front", "no way back from inside", "none yet", "a launch got ready"],
)
def test_what_is_in_order_gives_nothing(own: Own) -> None:
    assert diagnosed(own).findings == ()


def test_a_renewal_that_would_fail_is_foreseen_while_the_certificate_holds() -> None:
    (told,) = diagnosed(certified(today=PORT_REFUSED("closed"))).told
    assert (told.finding.code, told.finding.foreseen) == (PORT_REFUSED.code, True)
    assert told.finding.confidence is Confidence.CERTAIN
    (inside,) = diagnosed(certified(today=PORT_REFUSED("closed"), inside=True)).told
    assert inside.finding.confidence is Confidence.LIKELY


def test_what_an_order_meets_explains_the_failed_attempt_and_the_end_of_the_certificate() -> None:
    own = certified(today=DNS_NO_SUCH_NAME("gone"), failure=VALIDATION_FAILED("no"), not_after=NOW - DAY)
    (root,) = diagnosed(own).told
    assert (root.finding.code, root.finding.foreseen) == (DNS_NO_SUCH_NAME.code, False)
    assert [one.finding.code for one in root.explains] == [VALIDATION_FAILED.code, NOT_VALID_NOW.code]


def test_the_same_failure_is_told_once() -> None:
    own = certified(today=CLOCK_WRONG("behind"), failure=CLOCK_WRONG("behind"))
    assert [one.code for one in diagnosed(own).findings] == [CLOCK_WRONG.code]


def test_an_attempt_that_failed_explains_the_end_of_the_certificate() -> None:
    (root,) = diagnosed(certified(failure=VALIDATION_FAILED("no"), not_after=NOW - DAY)).told
    assert root.finding.code == VALIDATION_FAILED.code
    assert [one.finding.code for one in root.explains] == [NOT_VALID_NOW.code]


@pytest.mark.parametrize(
    ("port", "sure"),
    [
        (Shown(OURS, True, WRONG, ""), Confidence.CERTAIN),
        (Shown(OURS, True, None, "no TLS handshake"), Confidence.CERTAIN),
        (Shown(OURS, True, None, "127.0.0.1 did not answer in time"), Confidence.LIKELY),
        (Shown(THEIRS, False, WRONG, ""), Confidence.LIKELY),
    ],
    ids=["at our own port", "nothing at our own port", "silence at our own port", "where the name leads"],
)
def test_a_port_that_shows_something_else(port: Shown, sure: Confidence) -> None:
    (told,) = diagnosed(certified(port)).told
    assert (told.finding.code, told.finding.confidence) == (NOT_SERVED.code, sure)
    assert f"{port.address} shows {'something else' if port.certificate else 'no'}" in told.finding.failure.cause


def test_a_launch_that_failed_tells_what_it_ended_with() -> None:
    (told,) = diagnosed(replace(WELL, launch=Launched(3, 2.0, KERNEL_UNREACHED("no websocket")))).told
    assert told.finding.code == KERNEL_UNREACHED.code
    assert told.finding.commands == ("perijove describe launch 3",)


@pytest.mark.parametrize(
    ("own", "may"),
    [
        (WELL, True),
        (with_ground(room=replace(WELL.ground.room, disk=0)), False),
        (with_ground(state=DISK_FULL("full")), False),
        (with_ground(room=replace(WELL.ground.room, memory=0)), False),
        (with_service(control=Unseen("nobody asked")), False),
        (replace(WELL, journal=Unseen("not yours")), True),
    ],
    ids=["well", "no room", "no state", "no memory", "no answer", "what it does not need"],
)
def test_nothing_is_launched_where_it_could_only_fail(own: Own, may: bool) -> None:
    assert launchable(own) is may


def test_where_no_ca_looks_nobody_says_what_it_would_see() -> None:
    results = {one.name: one for one in diagnosed(certified(proof=False)).results}
    assert results["certificates.reachable"].outcome is Outcome.SKIPPED
    assert results["certificates.shown"].outcome is Outcome.WELL


def test_a_service_without_hosts_of_its_own_has_no_certificates_to_ask_about() -> None:
    results = {one.name: one for one in diagnosed(replace(WELL, certificates=())).results}
    assert results["certificates.valid"].outcome is Outcome.SKIPPED
