"""Are the nodes well? In: their conditions, addresses and events. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from perijove.doctor.cluster.telling import found, names, seen, span
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_ground_failures as rows
from perijove.domain.cluster import Thing, listed, text
from perijove.domain.findings import Confidence, Finding

LATELY = 3600.0
"""Seconds after which what a node told is not its state any more: events are kept for an hour."""
PRESSURES = {
    "DiskPressure": rows.NODE_DISK_PRESSURE,
    "MemoryPressure": rows.NODE_MEMORY_PRESSURE,
    "PIDPressure": rows.NODE_PID_PRESSURE,
    "NetworkUnavailable": rows.NODE_NETWORK_BROKEN,
    "ReadonlyFilesystem": rows.NODE_FILESYSTEM_READONLY,
}


def ill(cluster: Cluster) -> Iterator[Finding]:
    """Nodes that do not report, or report that they are not well."""
    for node in cluster.nodes:
        yield from _conditions(cluster, node)
        yield from _out_of_memory(cluster, node)
        addresses = [
            text(one.get("address")) for one in listed(node.status, "addresses") if one.get("type") == "InternalIP"
        ]
        if node.status.get("addresses") and not any(addresses):
            told = ", ".join(
                f"{text(one.get('type'))} {text(one.get('address'))!r}" for one in listed(node.status, "addresses")
            )
            yield found(
                rows.NODE_WITHOUT_ADDRESS, f"{node.said} has no InternalIP", node.said, Confidence.CERTAIN,
                seen(f"{node.said} status.addresses", told),
                commands=(f"kubectl drain {node.name} --ignore-daemonsets", f"kubectl delete node {node.name}"),
            )  # fmt: skip


def _conditions(cluster: Cluster, node: Thing) -> Iterator[Finding]:
    ready = node.condition("Ready")
    if ready is not None and ready.status != "True":
        silent = ready.status == "Unknown"
        how = "has stopped reporting" if silent else "says that it is not ready"
        since = f" since {span(cluster.age(ready.at))}" if ready.at else ""
        why = "" if silent or not ready.message else f": {ready.message[:200]}"
        on = [one for one in cluster.pods if one.spec.get("nodeName") == node.name]
        there = [seen(f"pods on {node.name}", names(on))] if on else []
        yield found(
            rows.NODE_NOT_READY, f"{node.said} {how}{since}{why}", node.said, Confidence.CERTAIN,
            seen(f"{node.said} status.conditions Ready", f"{ready.status} {ready.reason}: {ready.message}"), *there,
            commands=(f"ssh {node.name} 'systemctl status kubelet; journalctl -u kubelet -n 50; swapon --show'",),
            since=ready.at,
            remedy="" if silent else "Put right what its kubelet says; `journalctl -u kubelet` says more.",
        )  # fmt: skip
        return
    for kind, row in PRESSURES.items():
        condition = node.condition(kind)
        if condition is not None and condition.status == "True":
            yield found(
                row, f"{node.said} has {kind}", node.said, Confidence.CERTAIN,
                seen(f"{node.said} status.conditions {kind}", f"{condition.reason}: {condition.message}"),
                commands=_space(node) if row is rows.NODE_DISK_PRESSURE else (), since=condition.at,
            )  # fmt: skip


def _space(node: Thing) -> tuple[str, ...]:
    return (f"ssh {node.name} 'df -h; df -i; sudo crictl rmi --prune'",)


def _out_of_memory(cluster: Cluster, node: Thing) -> Iterator[Finding]:
    told = cluster.events_by_object.get(("Node", "", node.name), []) + cluster.events_by_object.get(
        ("Node", "default", node.name), []
    )
    fresh = [one for one in told if cluster.now - one.last < LATELY]
    killed = [one for one in fresh if one.reason in {"OOMKilling", "SystemOOM"}]
    # A container at its own limit is its own matter; the node's is when it ran out itself.
    if killed:
        yield found(
            rows.NODE_OUT_OF_MEMORY,
            f"The kernel of {node.said} killed processes {len(killed)} times lately",
            node.said,
            Confidence.CERTAIN,
            *(seen(one.where, one.message) for one in killed[:3]),
            commands=("kubectl top pods -A --sort-by=memory",),
        )
    full = [one for one in fresh if one.reason in {"FreeDiskSpaceFailed", "ImageGCFailed", "EvictionThresholdMet"}]
    pressed = node.condition("DiskPressure")
    disk = [
        one
        for one in full
        if one.reason != "EvictionThresholdMet" or "ephemeral" in one.message or "disk" in one.message
    ]
    if disk and (pressed is None or pressed.status != "True"):
        yield found(
            rows.NODE_DISK_PRESSURE, f"{node.said} cannot free disk space", node.said, Confidence.LIKELY,
            seen(disk[0].where, disk[0].message), commands=_space(node), foreseen=True,
        )  # fmt: skip
