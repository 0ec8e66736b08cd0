"""Is the hub's database too old for it? What the hub's pod alone hints at, and how it is brought up to date. Pure."""

from __future__ import annotations

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.helm import hub
from perijove.doctor.cluster.telling import found, seen
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_failures as rows
from perijove.domain.cluster import Thing, items, listed, text
from perijove.domain.failures import Evidence
from perijove.domain.findings import Confidence, Finding

QUICK = 30.0
"""Seconds within which a hub that refuses its database has ended."""


def old_schema(cluster: Cluster, pod: Thing, last: pods.Ended) -> Finding | None:
    """A hint only: the charts' hub writes its reason to its log, and nowhere else."""
    mine = next((one for one in listed(pod.spec, "containers") if text(one.get("name")) == "hub"), None)
    args = [text(one) for one in items(mine.get("args"))] if mine is not None else []
    if "jupyterhub" not in args or "--upgrade-db" in args or last.code != 1 or (last.lasted or 0) > QUICK:
        return None
    volumes = [text(one.get("name")) for one in listed(pod.spec, "volumes")]
    return found(
        rows.HUB_DB_SCHEMA_OLD, "The hub ends at once, and was not told to upgrade its database", pod.said,
        Confidence.POSSIBLE, *upgrade_evidence(pod), seen(f"{pod.said} volumes", ", ".join(volumes)),
        commands=upgrade(cluster),
        surer_with=f"kubectl -n {pod.namespace} logs {pod.name} --previous > logs/hub-previous.log",
    )  # fmt: skip


def upgrade_evidence(pod: Thing) -> list[Evidence]:
    """Whether the hub upgrades its database by itself."""
    for one in listed(pod.spec, "containers"):
        args = [text(arg) for arg in items(one.get("args"))]
        if text(one.get("name")) == "hub" and args and "--upgrade-db" not in args:
            return [seen("hub args lack --upgrade-db", " ".join(args))]
    return []


def upgrade(cluster: Cluster) -> tuple[str, ...]:
    """How the database is brought up to date."""
    return (
        "# back up the hub's database first",
        hub(cluster, {"hub.db.upgrade": True}),
    )
