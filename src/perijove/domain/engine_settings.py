"""What an operator can set about where sessions run. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from types import MappingProxyType
from typing import Any


class EngineKind(StrEnum):
    """What carries the sessions."""

    SANDBOX = "sandbox"
    """Sandboxes of this machine."""
    KUBERNETES = "kubernetes"
    """Pods of a cluster."""


class Builds(StrEnum):
    """Where the repositories' own code runs while environments are built."""

    HERE = "here"
    """In sandboxes of the machine that Perijove runs on."""
    JOBS = "jobs"
    """As Jobs of the cluster, in the namespace of sessions."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    kind: EngineKind = EngineKind.SANDBOX
    """Where sessions run: in a `sandbox` each of this machine, or as pods of a `kubernetes` cluster."""
    namespace: str = "perijove"
    """The cluster's namespace for sessions. What follows is for a cluster too."""
    instance: str = "perijove"
    """Which Perijove of that namespace they belong to; begins their pods' names."""
    registry: str = ""
    """Where environments go as images, from which nodes pull them: `registry.example.org/perijove`."""
    registry_credentials: str = ""
    """A file with the log-in to it, of the form that `docker login` writes and kubernetes.io/dockerconfigjson has."""
    pull_secrets: tuple[str, ...] = ()
    """Secrets of that namespace by which nodes log in to the registry."""
    priority_class: str = ""
    """The `priorityClassName` of sessions' pods; empty: the cluster's default. Placeholders have the priority -10."""
    runtime_class: str = ""
    """The `runtimeClassName` of sessions' pods, as `gvisor` or `kata`; empty: the nodes' own."""
    user_namespaces: bool = False
    """Whether each pod has a user namespace of its own (`hostUsers: false`); nodes have to support it."""
    cpu_request: float = 0.1
    """Processors that a session is sure of; it may use what its class allows."""
    builds: Builds = Builds.HERE
    """Where repositories' own code runs while environments are built (postBuild, packages without wheels, conda's
    scripts, the compiling of what is installed): in sandboxes `here`, where Perijove runs, or each time as one of the
    cluster's `jobs`. What has to be root of its own system, apt and the base, is always made here."""
    placeholders: int = 0
    """Pods that do nothing and give way to sessions, so that an autoscaler adds a node before people wait."""
    prepull: int = 0
    """How many images each node pulls before a session waits for them there: those of open classes, as soon as they are
    built, and then those that sessions were started with most within the last hour, twice or more. At most 20."""


MOST_PULLED = 20
"""Images at once: a node pulls them one after another, and its disk has to hold them all."""
POD_DEFAULTS: Mapping[str, Any] = MappingProxyType({"platform.root": "base", "launching.ready": 0})
"""Of other tables, where sessions are pods: their image has a whole system, and one that is held ready
takes all its memory from the cluster's."""


def faults(
    engine: EngineSettings, root: str, home: str, egress_allowed: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """What cannot be followed together: a setting's name, words after it, and what stands there."""
    if engine.kind is not EngineKind.KUBERNETES:
        return
    for name, value, most in (("instance", engine.instance, 20), ("namespace", engine.namespace, 63)):
        if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", value) or len(value) > most:
            yield f"engine.{name}", f"must be small letters, digits and hyphens, {most} at most", value
    if engine.prepull > MOST_PULLED:
        yield "engine.prepull", f"must be at most {MOST_PULLED}", str(engine.prepull)
    why = "with engine.kind = kubernetes"
    if root != "base":
        yield "platform.root", f"must be base {why}: a pod's image has its own system", root
    if home:
        yield "home.path", f"must be empty {why}: a pod has nobody's home", home
    for one in egress_allowed:
        address, _, port = one.rpartition(":")
        try:
            ip_network(address.strip("[]"), strict=False), int(port)
        except ValueError:
            yield "session.egress_allowed", f"must name addresses {why}: a NetworkPolicy knows no hosts", one
