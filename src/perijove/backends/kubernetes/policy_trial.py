"""Does the cluster's network plugin enforce NetworkPolicies? In: an image that has a Python. Out: what a pod reached.

A pod that may reach nothing tries the cluster's API, which answers every pod that no policy keeps from it. Plugins may
take a moment to hold a new pod to its policy, so that it tries again before it says so.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress

from perijove.backends.kubernetes import manifests
from perijove.backends.kubernetes.api import Cluster, Gone
from perijove.backends.kubernetes.manifests import EGRESS, SERVER, TRIAL, Json, Terms
from perijove.backends.kubernetes.pod_status import OVER
from perijove.backends.kubernetes.refusals import CREATED, OK, refused, unreachable
from perijove.domain.cluster import Thing
from perijove.domain.cluster_pods import ended, phase
from perijove.domain.failures import Fail
from perijove.domain.nouns import Egress, Limits, SandboxSpec

LIMIT, LOOK_EVERY = 180.0, 1.0
"""Seconds that it may take in all, pull included, and between two looks at it."""
REACHED = 3
"""Its exit code where it did."""
TRIES = """
import os, socket, sys, time
where = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
for last in range(10):
    try:
        socket.create_connection(where, 3).close()
    except OSError:
        sys.exit(0)
    time.sleep(0.5)
print("%s port %d" % where)
sys.exit(3)
"""
CLOSED = SandboxSpec("", (), (), (), None, Limits(0, 0, 0, 0, 0), Egress.NONE)
"""Stands for all that may reach nothing."""


def pod(image: str, terms: Terms, limit: float) -> Json:
    """One to which the policy of such sessions applies, but of nobody."""
    name = f"{terms.instance}-policy-trial-{uuid.uuid4().hex[:8]}"
    container = manifests.small_container(SERVER, image, "python3", "-Ic", TRIES)
    container |= {"workingDir": "/", "terminationMessagePolicy": "FallbackToLogsOnError"}
    labels = {EGRESS: manifests.egress_key(CLOSED), TRIAL: "policies"}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": manifests.metadata(name, terms, labels, terms.owner),
        "spec": {
            **manifests.placed(terms), "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": max(1, int(limit)), "containers": [container],
        },
    }  # fmt: skip


async def reached(cluster: Cluster, image: str, terms: Terms, limit: float = LIMIT) -> str:
    """What it reached though its policy, which stands, forbids all; `` for nothing. Raises Fail: `cluster.*`."""
    made = pod(image, terms, limit)
    name = made["metadata"]["name"]
    try:
        async with asyncio.timeout(limit):
            answer = await cluster.ask("POST", "pods", made)
            if answer.status not in (OK, CREATED):
                raise Fail(refused(answer))
            return await _told(cluster, name, terms)
    except (TimeoutError, Gone) as error:
        raise Fail(unreachable(f"pods/{name}", f"it has not ended within {limit:.0f} s")) from error
    finally:
        with suppress(Fail):  # its deadline ends it then, the next start removes it, and what it has told is not lost
            await cluster.delete(f"pods/{name}")


async def _told(cluster: Cluster, name: str, terms: Terms) -> str:
    while True:
        listed, _ = await cluster.pods(manifests.selecting(terms, TRIAL))
        mine = next((one for one in listed if one.name == name), None)
        if mine is not None and phase(mine) in OVER:
            return _reached(mine)
        await asyncio.sleep(LOOK_EVERY)


def _reached(pod: Thing) -> str:
    last = next((one for one in ended(pod) if one.container == SERVER), None)
    if last is None or last.code not in (0, REACHED):
        raise Fail(unreachable(pod.said, f"it ended otherwise: {last.message[:200] if last else phase(pod)}"))
    return (last.message.strip()[:200] or "what it did not say") if last.code else ""
