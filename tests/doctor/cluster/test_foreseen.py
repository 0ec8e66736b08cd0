"""What works today and will not after the next restart or reinstall of a Binder; and what is no sign of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doctor.cluster.test_ground import Case
from tests.doctor.cluster.world import DAY, HUB_POD, NAMESPACE, Broken, Json, ago, condition, issuer, secret, thing

STARTED = DAY
"""Seconds since the healthy cluster's pods started."""
TOKENS = "cluster.tokens-change-at-restart"
LIMIT = "cluster.duplicate-certificate-limit"


def written(age: float, field: str = "f:data", namespace: str = NAMESPACE) -> Json:
    """The hub's Secret, last written so many seconds ago."""
    one = secret("hub", namespace, token="s3cr3t-t0ken")
    one["metadata"]["managedFields"] = [
        {"manager": "helm", "time": ago(30 * DAY), "fieldsV1": {"f:data": {}}},
        {"manager": "kubectl", "time": ago(age), "fieldsV1": {field: {}}},
    ]
    return one


def test_a_secret_that_changed_under_a_running_hub_is_foreseen() -> None:
    broken = Broken((written(STARTED - 3600),))
    Case(broken, (TOKENS,), "running since").check()
    finding = broken.seen().told[0].finding
    assert finding.foreseen
    assert finding.confidence.value == "possible", "labels alone may have changed"
    assert "Pod binderhub/proxy-1" in finding.failure.cause
    assert "s3cr3t" not in repr(finding)


@pytest.mark.parametrize(
    "broken",
    [
        Broken((written(STARTED + 3600),)),
        Broken((written(STARTED - 30),)),
        Broken((written(600, "f:metadata"),)),
        Broken((written(600, namespace="elsewhere"),)),
        Broken((written(600),), drop=("Pod/hub-1", "Pod/proxy-1")),
    ],
    ids=["read after it was written", "an upgrade", "labels", "somebody else's", "nobody has read it"],
)
def test_what_no_restart_will_change(broken: Broken) -> None:
    assert TOKENS not in [one.code for one in broken.seen().findings]


def issued(*ages: float, ready: str = "True") -> tuple[Json, ...]:
    return tuple(
        thing(
            "CertificateRequest", f"binder-tls-{number}", {}, {"conditions": [condition("Ready", ready, "Issued")]},
            api="cert-manager.io/v1", owner="Certificate/binder-tls", age=age,
        )
        for number, age in enumerate(ages, 2)
    )  # fmt: skip


def of(server: str) -> Json:
    one = issuer()
    one["spec"]["acme"]["server"] = server
    return one


PUBLIC = of("https://acme-v02.api.letsencrypt.org/directory")


def test_reinstalls_that_will_meet_a_rate_limit_are_foreseen() -> None:
    broken = Broken((PUBLIC, *issued(DAY, 2 * DAY, 3 * DAY)))
    Case(broken, (LIMIT,), "CertificateRequest binderhub/binder-tls-2 metadata.creationTimestamp").check()
    assert broken.seen().told[0].finding.foreseen


@pytest.mark.parametrize(
    "add",
    [
        (PUBLIC, *issued(DAY, 2 * DAY)),
        (PUBLIC, *issued(DAY, 8 * DAY, 9 * DAY, 10 * DAY)),
        (PUBLIC, *issued(1, 2, 3, ready="False")),
        (of("https://acme-staging-v02.api.letsencrypt.org/directory"), *issued(1, 2, 3, 4)),
        (of("https://ca.internal.example/acme/directory"), *issued(1, 2, 3, 4)),
    ],
    ids=["twice", "more than a week ago", "never issued", "staging", "a CA of one's own"],
)
def test_what_meets_no_rate_limit(add: tuple[Any, ...]) -> None:
    assert LIMIT not in [one.code for one in Broken(add).seen().findings]


def test_a_hub_that_has_just_started_has_read_the_secret() -> None:
    fresh = {
        **HUB_POD,
        "status": {**HUB_POD["status"], "containerStatuses": [{"name": "hub", "state": {"waiting": {}}}]},
    }
    assert TOKENS not in [one.code for one in Broken((written(600), fresh), drop=("Pod/proxy-1",)).seen().findings]
