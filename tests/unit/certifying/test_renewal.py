from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perijove.certifying.formatting import DAY, HOUR, moment, span
from perijove.certifying.renewal import ask_again, decide
from perijove.domain.certificates import CertificateSpec, Issuer, IssuerKind, RenewalWindow, Secret

NOW = 1_800_000_000.0
ACME = Issuer("letsencrypt", IssuerKind.ACME, "https://ca.example/dir")
SPEC = CertificateSpec("binder.example.org", (ACME,))


def secret(lifetime: float = 90 * DAY, age: float = 0, **changed: object) -> Secret:
    made = Secret(
        "binder.example.org", "r1", ("binder.example.org",), NOW - age, NOW - age + lifetime, "01", "f" * 64, "R11",
        "letsencrypt", "https://ca.example/dir", "ari", Path("/c"), Path("/k"),
    )  # fmt: skip
    return replace(made, **changed)  # type: ignore[arg-type]


DECIDED = [
    pytest.param(None, SPEC, "DoesNotExist", "no certificate yet", id="there is none"),
    pytest.param(
        secret(names=("other.example.org",)), SPEC, "IncorrectCertificate", "not for binder.example.org", id="names"
    ),
    pytest.param(secret(issuer="zerossl"), SPEC, "IncorrectIssuer", "the settings say letsencrypt", id="issuer"),
    pytest.param(
        secret(directory="https://old.example/dir"), SPEC, "IncorrectIssuer", "https://ca.example/dir", id="directory"
    ),
    pytest.param(secret(age=91 * DAY), SPEC, "Expired", f"ended on {moment(NOW - DAY)}", id="expired"),
    pytest.param(secret(age=61 * DAY), SPEC, "Renewing", "29 d of 90 d are left", id="a third left"),
    pytest.param(secret(160 * HOUR, 81 * HOUR), SPEC, "Renewing", "1/2 left", id="half of a short one left"),
    pytest.param(secret(age=50 * DAY), SPEC, "", "1/3 left", id="not due"),
    pytest.param(secret(160 * HOUR, 70 * HOUR), SPEC, "", "1/2 left", id="a short one that is not due"),
    pytest.param(secret(issuer="imported", directory=""), SPEC, "", "1/3 left", id="imported"),
    pytest.param(secret(issuer="imported", directory="", age=61 * DAY), SPEC, "Renewing", "1/3 left", id="due"),
]  # fmt: skip


@pytest.mark.parametrize(("have", "spec", "reason", "words"), DECIDED)
def test_due_or_not_and_the_sentence_that_says_why(
    have: Secret | None, spec: CertificateSpec, reason: str, words: str
) -> None:
    decision = decide(spec, have, NOW)
    assert (decision.due, decision.reason) == (bool(reason), reason)
    assert words in decision.why


def test_the_operator_s_files_are_renewed_by_nobody_else() -> None:
    spec = CertificateSpec("binder.example.org", (Issuer("own", IssuerKind.FILES),))
    assert not decide(spec, secret(issuer="own", directory="", age=80 * DAY), NOW).due
    assert decide(spec, secret(issuer="own", directory="", age=91 * DAY), NOW).reason == "Expired"


@pytest.mark.parametrize("lifetime", [160 * HOUR, 45 * DAY, 47 * DAY, 64 * DAY, 90 * DAY, 200 * DAY])
def test_jitter_is_at_most_three_hundredths_and_the_same_at_each_restart(lifetime: float) -> None:
    left = 1 / 2 if lifetime < 10 * DAY else 1 / 3
    times = set()
    for number in range(50):
        have = secret(lifetime, fingerprint=f"{number:064x}")
        at = decide(SPEC, have, NOW).again_at
        assert at == decide(SPEC, have, NOW + 60).again_at
        assert lifetime * (1 - left - 0.03) <= at - NOW <= lifetime * (1 - left)
        assert decide(SPEC, have, at).due
        times.add(at)
    assert len(times) == 50


def test_a_window_is_obeyed_at_one_moment_in_it() -> None:
    window = RenewalWindow(NOW + 10 * DAY, NOW + 12 * DAY)
    decision = decide(SPEC, secret(), NOW, window)
    assert not decision.due
    assert window.start <= decision.again_at <= window.end
    assert decide(SPEC, secret(), NOW + DAY, window).again_at == decision.again_at
    assert decide(SPEC, secret(), decision.again_at, window).due
    moved = replace(window, end=NOW + 13 * DAY)
    assert decide(SPEC, secret(), NOW, moved).again_at != decision.again_at


def test_a_window_keeps_a_renewal_back_that_the_lifetime_would_want() -> None:
    window = RenewalWindow(NOW + 5 * DAY, NOW + 6 * DAY)
    assert decide(SPEC, secret(age=70 * DAY), NOW).due
    assert not decide(SPEC, secret(age=70 * DAY), NOW, window).due


def test_with_a_twentieth_left_no_window_counts() -> None:
    window = RenewalWindow(NOW + 50 * DAY, NOW + 60 * DAY)
    have = secret(age=80 * DAY)
    assert decide(SPEC, have, NOW, window).again_at == have.not_after - 90 * DAY / 20
    assert decide(SPEC, secret(age=86 * DAY), NOW, window).due


def test_a_window_that_ends_before_it_begins_is_none() -> None:
    assert decide(SPEC, secret(age=61 * DAY), NOW, RenewalWindow(NOW + DAY, NOW)).due


@pytest.mark.parametrize(
    ("window", "seconds"),
    [
        pytest.param(None, 6 * HOUR, id="it does not say"),
        pytest.param(RenewalWindow(0, 0, look_again=60), HOUR, id="too soon"),
        pytest.param(RenewalWindow(0, 0, look_again=90 * DAY), 7 * DAY, id="too late"),
        pytest.param(RenewalWindow(0, 0, look_again=7200), 7200, id="as it says"),
    ],
)
def test_a_window_is_asked_for_again_within_bounds(window: RenewalWindow | None, seconds: float) -> None:
    assert ask_again(window) == seconds


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (12, "12 s"), (119, "119 s"), (240, "4 min"), (3 * HOUR, "3 h"), (61 * DAY, "61 d")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert span(seconds) == words
