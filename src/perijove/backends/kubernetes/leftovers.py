"""What is left in the cluster of a control plane that was killed? In: what stands there. Out: none of it. Acts.

Sessions' pods are asked for by whoever knows sessions, and take their Secrets along; the DaemonSet is `prepulling`'s.
What remains are pods of trials, and policies that hold for no pod any more.
"""

from __future__ import annotations

from perijove.backends.kubernetes.api import PAGE, Cluster, Gone
from perijove.backends.kubernetes.manifests import EGRESS, TRIAL, Terms, selecting
from perijove.backends.kubernetes.refusals import OK, refused, unreachable
from perijove.domain.cluster import Thing, listed
from perijove.domain.failures import Fail

NETWORKING = "/apis/networking.k8s.io"


async def sweep(cluster: Cluster, terms: Terms) -> None:
    """Remove it, while no session starts, which may need what is removed. Raises Fail: `cluster.*`.

    A policy stays as long as a pod of it ends.
    """
    try:
        pods, _ = await cluster.pods(selecting(terms))
    except Gone as error:
        raise Fail(unreachable("GET pods", "a list that took too long")) from error
    used = {pod.labels.get(EGRESS) for pod in pods if TRIAL not in pod.labels}
    for pod in pods:
        if TRIAL in pod.labels:
            await cluster.delete(f"pods/{pod.name}", uid=pod.uid)
    params = {"labelSelector": selecting(terms, EGRESS), "limit": PAGE}
    answer = await cluster.ask("GET", "networkpolicies", base=NETWORKING, params=params)
    if answer.status != OK:
        raise Fail(refused(answer))
    for policy in map(Thing, listed(answer.body, "items")):
        if policy.labels.get(EGRESS) not in used:
            await cluster.delete(f"networkpolicies/{policy.name}", base=NETWORKING, uid=policy.uid)
