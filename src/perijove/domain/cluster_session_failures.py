"""The rows of the catalogue for sessions that are pods, and for what the API and Git hosts refuse. Pure."""

from __future__ import annotations

from perijove.domain.failures import Retry, operator_row

API_FORBIDDEN = operator_row(
    "cluster.api-forbidden", "The cluster does not let Perijove do this",
    "Give Perijove's service account the verb that is named, in the namespace of its sessions.",
)  # fmt: skip
API_BUSY = operator_row(
    "cluster.api-busy", "The cluster's API asks to be asked later",
    "It is asked again by itself; if it lasts, look at the API server's load and its flow control.", Retry.AFTER,
)  # fmt: skip
WEBHOOK_DOWN = operator_row(
    "cluster.webhook-down", "An admission webhook of the cluster does not answer",
    "Look at the pods behind the webhook that is named.", Retry.BACKOFF,
)  # fmt: skip
POD_REFUSED = operator_row(
    "cluster.pod-refused", "The cluster takes no pod for a session",
    "Read the API server's words below.",
)  # fmt: skip
POD_SLOW = operator_row(
    "cluster.pod-start-slow", "A session's pod does not get to run",
    "Read what the pod says of itself below, and look at its node.", Retry.BACKOFF,
)  # fmt: skip
SESSION_CANNOT = operator_row(
    "cluster.session-cannot", "Sessions in a cluster cannot do this",
    "Turn off the setting that asks for it.",
)  # fmt: skip
POLICY_UNENFORCED = operator_row(
    "cluster.policy-unenforced", "The cluster does not enforce NetworkPolicies",
    "Use a network plugin that enforces them, as Calico and Cilium do.",
)  # fmt: skip
NAMESPACE_TERMINATING = operator_row(
    "cluster.namespace-terminating", "A namespace is being deleted",
    "Let it end and install anew; where it stays, take away what its conditions name.",
)  # fmt: skip
GIT_TOKEN_REFUSED = operator_row(
    "cluster.git-token-refused", "A Git host refuses BinderHub's token",
    "Make a new token that may read the repositories, and give it to BinderHub; its log says nothing of this.",
)  # fmt: skip
