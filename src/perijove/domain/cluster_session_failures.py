"""The rows of the catalogue for sessions that are pods, and for what the API and Git hosts refuse. Pure."""

from __future__ import annotations

from perijove.domain.failures import Owner, Retry, row

API_FORBIDDEN = row(
    "cluster.api-forbidden", "The cluster does not let Perijove do this",
    Owner.OPERATOR, Retry.NEVER,
    "Give Perijove's service account the verb that is named, in the namespace of its sessions.",
)  # fmt: skip
API_BUSY = row(
    "cluster.api-busy", "The cluster's API asks to be asked later",
    Owner.OPERATOR, Retry.AFTER,
    "It is asked again by itself; if it lasts, look at the API server's load and its flow control.",
)  # fmt: skip
WEBHOOK_DOWN = row(
    "cluster.webhook-down", "An admission webhook of the cluster does not answer",
    Owner.OPERATOR, Retry.BACKOFF,
    "Look at the pods behind the webhook that is named.",
)  # fmt: skip
POD_REFUSED = row(
    "cluster.pod-refused", "The cluster takes no pod for a session",
    Owner.OPERATOR, Retry.NEVER,
    "Read the API server's words below.",
)  # fmt: skip
POD_SLOW = row(
    "cluster.pod-start-slow", "A session's pod does not get to run",
    Owner.OPERATOR, Retry.BACKOFF,
    "Read what the pod says of itself below, and look at its node.",
)  # fmt: skip
SESSION_CANNOT = row(
    "cluster.session-cannot", "Sessions in a cluster cannot do this",
    Owner.OPERATOR, Retry.NEVER,
    "Turn off the setting that asks for it.",
)  # fmt: skip
POLICY_UNENFORCED = row(
    "cluster.policy-unenforced", "The cluster does not enforce NetworkPolicies",
    Owner.OPERATOR, Retry.NEVER,
    "Use a network plugin that enforces them, as Calico and Cilium do.",
)  # fmt: skip
NAMESPACE_TERMINATING = row(
    "cluster.namespace-terminating", "A namespace is being deleted",
    Owner.OPERATOR, Retry.NEVER,
    "Let it end and install anew; where it stays, take away what its conditions name.",
)  # fmt: skip
GIT_TOKEN_REFUSED = row(
    "cluster.git-token-refused", "A Git host refuses BinderHub's token",
    Owner.OPERATOR, Retry.NEVER,
    "Make a new token that may read the repositories, and give it to BinderHub; its log says nothing of this.",
)  # fmt: skip
