"""What the Pod Security Standards ask of a pod (kubernetes.io/docs/concepts/security/pod-security-standards)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip


def inner(told: Json) -> Json:
    container: Json = told["spec"]["containers"][0]
    return container


RESTRICTED: dict[str, Callable[[Json], bool]] = {
    "host namespaces": lambda one: not any(one["spec"].get(key) for key in ("hostNetwork", "hostPID", "hostIPC")),
    "privileged": lambda one: not inner(one)["securityContext"].get("privileged"),
    "capabilities": lambda one: inner(one)["securityContext"]["capabilities"] == {"drop": ["ALL"]},
    "volumes": lambda one: all(set(volume) - {"name"} <= VOLUMES for volume in one["spec"].get("volumes", ())),
    "host ports": lambda one: not any("hostPort" in port for port in inner(one).get("ports", ())),
    "escalation": lambda one: inner(one)["securityContext"]["allowPrivilegeEscalation"] is False,
    "non-root": lambda one: one["spec"]["securityContext"]["runAsNonRoot"] is True,
    "user": lambda one: one["spec"]["securityContext"]["runAsUser"] != 0,
    "seccomp": lambda one: one["spec"]["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
    "unmasked": lambda one: not {"procMount", "seLinuxOptions", "sysctls"} & set(inner(one)["securityContext"]),
}
"""Profile *restricted*, with all of *baseline*, of a pod with one container."""
