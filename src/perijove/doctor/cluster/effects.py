"""What will come of a command that is proposed? In: the command, what was seen. Out: the same, with a comment. Pure.

A pod that has an owner, or is one of the charts' own, is made anew by its controller; a session's is not. What a
restart means for visitors is what that component does in zero-to-jupyterhub 4 and BinderHub.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.telling import names
from perijove.doctor.cluster.view import Cluster
from perijove.domain.cluster import Thing
from perijove.domain.findings import Finding

RESTARTS = {
    "hub": "until it is ready nobody can launch or log in, and sessions go on",
    "proxy": "for some seconds no session is reached, until the hub has told it all routes again",
    "binder": "builds and launches under way break off",
    "autohttps": "https is away until it is ready",
    "dind": "builds under way on its node break off",
}


def with_effects(cluster: Cluster, finding: Finding) -> Finding:
    """Its commands, each with what follows where that can be known."""
    return replace(finding, commands=tuple(_told(cluster, one) for one in finding.commands))


def _told(cluster: Cluster, command: str) -> str:
    if "\n" in command or not command.startswith("kubectl "):
        return command
    then = " ".join(_effect(cluster, command).split())  # a recording may name a pod by lines: each would be a command
    return f"{command}{';' if ' # ' in command else '   #'} then {then}" if then else command


def _effect(cluster: Cluster, command: str) -> str:
    try:
        words = shlex.split(command, comments=True)
    except ValueError:
        return ""
    namespace = words[2] if words[1:2] == ["-n"] and len(words) > 2 else ""
    match words[3:] if namespace else words[1:]:
        case ["rollout", "restart", "deployment", *deployments]:
            return _anew(_of_deployments(cluster, namespace, deployments))
        case ["rollout", "restart", target] if target.startswith("deployment/"):
            return _anew(_of_deployments(cluster, namespace, [target.partition("/")[2]]))
        case ["delete", "pod" | "pods", "-l", label, *_]:
            key, _, value = label.partition("=")
            return _deleted([one for one in _pods(cluster, namespace) if one.labels.get(key) == value])
        case ["delete", "pod" | "pods", name, *_] if not name.startswith("-"):
            return _deleted([one for one in _pods(cluster, namespace) if one.name == name])
        case ["uncordon", node]:
            waiting = [one for one in cluster.pods if pods.unplaced(one)]
            return f"{names(waiting)} may be placed on {node}" if waiting else f"new pods are placed on {node} again"
        case ["scale", "deployment", name, "--replicas=1"]:
            return f"a pod of Deployment {namespace}/{name} starts"
    return ""


def _pods(cluster: Cluster, namespace: str) -> list[Thing]:
    return [one for one in cluster.pods if one.namespace == namespace]


def _of_deployments(cluster: Cluster, namespace: str, deployments: Sequence[str]) -> list[Thing]:
    """Their pods, by the names of the ReplicaSets between, which are the Deployment's and a hash; else by component."""
    of = [one for one in _pods(cluster, namespace) if any(_from(one, name) for name in deployments)]
    return of or [one for one in _pods(cluster, namespace) if pods.component(one) in deployments]


def _from(pod: Thing, deployment: str) -> bool:
    return any(kind == "ReplicaSet" and name.rpartition("-")[0] == deployment for kind, name in pod.owners)


def _deleted(them: Sequence[Thing]) -> str:
    if them and all(one.deleting for one in them):
        return f"{names(them)} is gone, and what it holds is free"
    sessions = [one for one in them if pods.is_user(one)]
    if sessions:
        return f"{names(sessions)} is gone, and the session in it ends"
    return _anew([one for one in them if one.owners or pods.component(one) in RESTARTS])


def _anew(them: Sequence[Thing]) -> str:
    if not them:
        return ""
    means = dict.fromkeys(filter(None, map(_means, them)))
    return "; ".join((f"{names(them)} {'is' if len(them) == 1 else 'are'} made anew", *means))


def _means(pod: Thing) -> str:
    return RESTARTS.get(pods.component(pod), "")
