"""Why does the API not do what it was asked? In: what was asked, its answer. Out: a failure of the catalogue. Pure.

Answers are a `Status` (kubernetes.io/docs/reference/kubernetes-api/common-definitions/status); a proxy before the API
may answer with anything. Of quotas: apiserver pkg/admission/plugin/resourcequota/controller.go; of namespaces that go:
pkg/admission/plugin/namespace/lifecycle/admission.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from perijove.domain.cluster import JSON, text
from perijove.domain.cluster_failures import ADMISSION_REFUSED, API_UNREACHABLE, RESOURCE_QUOTA_EXCEEDED
from perijove.domain.cluster_session_failures import (
    API_BUSY,
    API_FORBIDDEN,
    NAMESPACE_TERMINATING,
    POD_REFUSED,
    WEBHOOK_DOWN,
)
from perijove.domain.failures import Evidence, Failure

OK, CREATED, UNAUTHORIZED, FORBIDDEN, MISSING, CONFLICT, GONE, BUSY, BROKEN = (
    200, 201, 401, 403, 404, 409, 410, 429, 500,
)  # fmt: skip
LATER = 5.0
"""Seconds, where it says that it is busy and not until when."""
LONGEST = 300.0
"""Seconds that it is believed at most."""
_RIGHTS = re.compile(r"cannot \w+ resource")
"""Of its RBAC authorizer; 403 is also what a LimitRange says, and a namespace that goes."""
_QUOTA = re.compile(r"exceeded quota: |insufficient quota to ")
_RECOUNTED = "cannot be fulfilled on resourcequotas"
"""Others were counted meanwhile (apiserver pkg/admission/plugin/resourcequota/controller.go)."""
_POLICY = re.compile(r"violates PodSecurity|denied the request|disallowed|admission webhook|ValidatingAdmissionPolicy")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said, bounded."""

    asked: str
    """`POST pods`"""
    status: int
    body: JSON
    words: str
    """Its `message`, or what else it said."""
    after: float = 0
    """Seconds, of `Retry-After`."""

    @property
    def evidence(self) -> Evidence:
        return Evidence(self.asked, f"{self.status} {self.words}"[:1000])


def unreachable(asked: str, why: str) -> Failure:
    """It gave no answer."""
    remedy = "Look whether the API server runs, and whether this machine reaches it. It is asked again by itself."
    return API_UNREACHABLE("it gives no answer", Evidence(asked, why[:500]), remedy=remedy)


def refused(answer: Answer) -> Failure:
    """Why it did not do it."""
    words, seen = answer.words, answer.evidence
    if _QUOTA.search(words):
        return RESOURCE_QUOTA_EXCEEDED(f"it refuses {answer.asked} by a quota", seen)
    if "failed quota: " in words:
        remedy = "Give the namespace a LimitRange with defaults for what the quota counts."
        cause = f"it refuses {answer.asked}: a quota counts what it does not say"
        return RESOURCE_QUOTA_EXCEEDED(cause, seen, remedy=remedy)
    if "status unknown for quota: " in words:
        remedy = "It is asked again by itself; if it lasts, look whether kube-controller-manager runs."
        return API_BUSY(f"{answer.asked}: a quota has not been counted yet", seen, remedy=remedy, after=LATER)
    if "because it is being terminated" in words:
        return NAMESPACE_TERMINATING(f"it refuses {answer.asked}", seen)
    if "failed calling webhook" in words or "failed to call webhook" in words:
        return WEBHOOK_DOWN(f"{_quoted(words)} was to be asked about {answer.asked}, and did not answer", seen)
    if _POLICY.search(words):
        remedy = "Change the policy that is named, or exempt the namespace of sessions from it."
        return ADMISSION_REFUSED(f"it refuses {answer.asked} by a policy", seen, remedy=remedy)
    if answer.status == UNAUTHORIZED or _RIGHTS.search(words):
        why = "it does not know our account" if answer.status == UNAUTHORIZED else "our account may not"
        return API_FORBIDDEN(f"{answer.asked}: {why}", seen)
    if answer.status == BUSY or (answer.status >= BROKEN and answer.after) or _RECOUNTED in words:
        after = min(answer.after or LATER, LONGEST)
        return API_BUSY(f"{answer.asked}: not before {after:.0f} s", seen, after=after)
    if answer.status >= BROKEN:
        return unreachable(answer.asked, f"{answer.status} {words}")
    return POD_REFUSED(f"it refuses {answer.asked}: {text(answer.body.get('reason')) or answer.status}", seen)


def _quoted(words: str) -> str:
    found = re.search(r'webhook "([^"]{1,200})"', words)
    return found[1] if found else "a webhook"
