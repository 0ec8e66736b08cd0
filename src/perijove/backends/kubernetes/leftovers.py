"""What is left in the cluster of a control plane that was killed? In: what stands there. Out: none of it. Acts.

Sessions' pods are asked for by whoever knows sessions, and take their Secrets along; the DaemonSet is `prepulling`'s.
What remains are pods of trials, and policies that hold for no pod any more.
"""

from __future__ import annotations

from perijove.backends.kubernetes.api import PAGE, Cluster, Gone
from perijove.backends.kubernetes.manifests import COMPONENT, EGRESS, TRIAL, Terms, selector
from perijove.backends.kubernetes.refusals import OK, refused, unreachable
from perijove.domain.cluster import Thing, listed, text
from perijove.domain.failures import Fail

NETWORKING = "/apis/networking.k8s.io"


async def sweep(cluster: Cluster, terms: Terms) -> None:
    """Remove it, while no session starts, which may need what is removed. Raises Fail: `cluster.*`.

    A policy stays as long as a pod of it ends.
    """
    # Builds have policies too.
    ours = ",".join((*(f"{key}={one}" for key, one in selector(terms).items() if key != COMPONENT), EGRESS))
    try:
        pods, _ = await cluster.pods(ours)
    except Gone as error:
        raise Fail(unreachable("GET pods", "a list that took too long")) from error
    used = {_held(pod) for pod in pods if TRIAL not in pod.labels}
    for pod in pods:
        if TRIAL in pod.labels:
            await cluster.delete(f"pods/{pod.name}", uid=pod.uid)
    params = {"labelSelector": ours, "limit": PAGE}
    answer = await cluster.ask("GET", "networkpolicies", base=NETWORKING, params=params)
    if answer.status != OK:
        raise Fail(refused(answer))
    for policy in map(Thing, listed(answer.body, "items")):
        if _held(policy) not in used:
            await cluster.delete(f"networkpolicies/{policy.name}", base=NETWORKING, uid=policy.uid)


def _held(thing: Thing) -> tuple[str, str]:
    """By which policy a pod is held, which is the one that says the same of itself."""
    return text(thing.labels.get(COMPONENT)), text(thing.labels.get(EGRESS))
