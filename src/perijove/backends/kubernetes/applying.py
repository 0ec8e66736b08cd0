"""Perijove in a cluster, put there and taken away. In: manifests. Out: what changed, one by one. Acts.

By server-side apply: what others wrote into the same objects stays, and a second time changes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from enum import StrEnum

from perijove.backends.kubernetes import installing
from perijove.backends.kubernetes.api import APPLY, Cluster
from perijove.backends.kubernetes.exposing import secrets
from perijove.backends.kubernetes.installing import Options
from perijove.backends.kubernetes.manifests import MANAGER, Json, Terms, selector
from perijove.backends.kubernetes.refusals import CREATED, MISSING, OK, Answer, refused
from perijove.domain.cluster import JSON, mapping
from perijove.domain.cluster_failures import CHANGE_REFUSED
from perijove.domain.cluster_session_failures import API_FORBIDDEN, POD_REFUSED
from perijove.domain.failures import Fail
from perijove.domain.settings import Settings

PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses", "PriorityClass": "priorityclasses"}
ACCEPTED = 202
UNKNOWN_FIELD = "field not declared in schema"
"""Of an API server's 500, where a manifest is of a later Kubernetes."""
KEPT_BY_API = {"resourceVersion", "managedFields"}
KEPT = {"Namespace", "PersistentVolumeClaim"}
"""What an uninstallation leaves: a namespace may hold what is not ours."""


class Done(StrEnum):
    """What became of an object."""

    MADE = "made"
    CHANGED = "changed"
    SAME = "as it was"
    REMOVED = "removed"


def path(manifest: Json) -> tuple[str, str]:
    """Its group's path, without the version that all have, and its own."""
    about, kind = manifest["metadata"], manifest["kind"]
    group, _, _ = manifest["apiVersion"].rpartition("/")
    plural = PLURALS.get(kind, f"{kind.lower()}s")
    within = f"namespaces/{about['namespace']}/" if "namespace" in about else ""
    return (f"/apis/{group}" if group else "/api"), f"{within}{plural}/{about['name']}"


async def install(cluster: Cluster, wanted: Sequence[Json], settings: Settings, options: Options) -> AsyncIterator[
    tuple[str, Done]
]:  # fmt: skip
    """Each object by its name; what other options had brought goes. Raises Fail: `cluster.*`."""
    for manifest in wanted:
        yield _named(manifest), await _apply(cluster, manifest)
    there = {installing.key(one) for one in wanted}
    for manifest in reversed(installing.possible(settings, options)):
        if installing.key(manifest) not in there and await _remove(cluster, manifest):
            yield _named(manifest), Done.REMOVED


async def uninstall(cluster: Cluster, settings: Settings, options: Options, *, purge: bool) -> AsyncIterator[
    tuple[str, Done]
]:  # fmt: skip
    """All but state, certificates and namespaces; with `purge` these too, but for the namespaces. Raises Fail."""
    for manifest in reversed(installing.possible(settings, options)):
        kept = manifest["kind"] in KEPT and not (purge and manifest["kind"] == "PersistentVolumeClaim")
        if not kept and await _remove(cluster, manifest):
            yield _named(manifest), Done.REMOVED
    engine = settings.engine
    chosen = {"labelSelector": ",".join(f"{key}={value}" for key, value in _sessions(settings).items())}
    groups = {"pods": "/api", "networkpolicies": "/apis/networking.k8s.io", "daemonsets": "/apis/apps"}
    for plural, base in groups.items():
        answer = await cluster.ask("DELETE", f"namespaces/{engine.namespace}/{plural}", base=base, params=chosen)
        _accepted(answer, f"{plural} of sessions", OK, MISSING)
    yield f"pods, networkpolicies and daemonsets of sessions in {engine.namespace}", Done.REMOVED
    for name in secrets(engine.instance) if purge else ():
        about = {"name": name, "namespace": options.namespace}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": about}
        if await _remove(cluster, secret):
            yield _named(secret), Done.REMOVED


def _sessions(settings: Settings) -> dict[str, str]:
    return selector(Terms(settings.engine.namespace, settings.engine.instance))


def _named(manifest: Json) -> str:
    about = manifest["metadata"]
    where = f" in {about['namespace']}" if "namespace" in about else ""
    return f"{manifest['kind']} {about['name']}{where}"


async def _apply(cluster: Cluster, manifest: Json) -> Done:
    base, where = path(manifest)
    before = await cluster.ask("GET", where, base=base)
    params = {"fieldManager": MANAGER, "force": "true"}
    after = await cluster.ask("PATCH", where, manifest, base=base, params=params, content=APPLY)
    _accepted(after, _named(manifest), OK, CREATED)
    if before.status == MISSING:
        return Done.MADE
    return Done.SAME if _content(before.body) == _content(after.body) else Done.CHANGED


async def _remove(cluster: Cluster, manifest: Json) -> bool:
    base, where = path(manifest)
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
    answer = await cluster.ask("DELETE", where, options, base=base)
    _accepted(answer, _named(manifest), OK, ACCEPTED, MISSING)
    return answer.status != MISSING


def _accepted(answer: Answer, named: str, *statuses: int) -> None:
    """Raises Fail: `cluster.*`, where it refused."""
    if answer.status in statuses:
        return
    failure = refused(answer)
    if answer.status == MISSING or UNKNOWN_FIELD in answer.words:
        remedy = "Install the Gateway API for --expose gateway; --privileged before Kubernetes 1.33."
        raise Fail(CHANGE_REFUSED(f"it does not know all that {named} says", answer.evidence, remedy=remedy))
    if failure.kind in {API_FORBIDDEN, POD_REFUSED}:  # which tell of sessions, and of our own account
        remedy = "Have somebody do it who may, or with another --context; a second time goes on where this one ended."
        failure = CHANGE_REFUSED(f"{named} is not let through", answer.evidence, remedy=remedy)
    raise Fail(failure)


def _content(thing: JSON) -> JSON:
    """Without what controllers write meanwhile, and what tells who wrote when: another version is not yet a change."""
    about = {key: one for key, one in mapping(thing.get("metadata")).items() if key not in KEPT_BY_API}
    return {**thing, "metadata": about, "status": None}
