"""What keeps pods from being made, though nobody was refused yet? In: configurations of webhooks, namespaces. Pure.

Facts: kubernetes 1.33 staging/src/k8s.io/apiserver pkg/admission/plugin/webhook (which are asked), and
pkg/controller/namespace/deletion/status_condition_utils.go (what a namespace that ends waits for).
"""

from __future__ import annotations

from collections.abc import Iterator

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.network import PATIENCE
from perijove.doctor.cluster.telling import found, seen, span
from perijove.doctor.cluster.view import Cluster, matches, selected
from perijove.domain.cluster import JSON, Thing, at, day, items, listed, mapping, text
from perijove.domain.cluster_session_failures import NAMESPACE_TERMINATING, WEBHOOK_DOWN
from perijove.domain.findings import Confidence, Finding

WEBHOOKS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
NO_SERVICE, NO_ENDPOINTS = "its Service does not exist", "no pod behind its Service is ready"
_MAKERS = {"hub", "binder", "singleuser-server"}
"""Who has pods made, or is made."""


def webhooks(cluster: Cluster) -> Iterator[Finding]:
    """Those that must be asked for each pod, and that nobody answers."""
    for one in cluster.there(*WEBHOOKS):
        for hook in listed(one.raw, "webhooks"):
            service = mapping(at(hook, "clientConfig", "service"))
            if not service or text(hook.get("failurePolicy")) == "Ignore" or not _of_pods(cluster, hook):
                continue
            space, name = text(service.get("namespace")), text(service.get("name"))
            why = _unanswered(cluster, space, name)
            if why:
                yield found(
                    WEBHOOK_DOWN, f"The API has to ask the webhook {text(hook.get('name'))}, and cannot: {why}",
                    f"Webhook {text(hook.get('name'))}", Confidence.LIKELY,
                    seen(f"{one.said} webhooks clientConfig.service", f"{space}/{name}, failurePolicy Fail"),
                    seen(f"Service {space}/{name}", "there is none" if why == NO_SERVICE else "no ready endpoint"),
                    commands=(f"kubectl -n {space} get services,endpoints,pods",),
                    about=(f"Service {space}/{name}", one),
                )  # fmt: skip


def _of_pods(cluster: Cluster, hook: JSON) -> bool:
    """Whether it is asked for pods of a hub; nobody but the API can tell what `matchConditions` come to."""
    wanted = {"operations": {"CREATE", "*"}, "apiGroups": {"", "*"}, "resources": {"pods", "*", "*/*"}}
    rules = ([any(one in fit for one in map(text, items(rule.get(key)))) for key, fit in wanted.items()]
             for rule in listed(hook, "rules"))  # fmt: skip
    made = any(all(one) for one in rules)
    if not made or hook.get("matchConditions"):
        return False
    spaces = {one.name: one for one in cluster.there("Namespace")}
    labels = {name: {"kubernetes.io/metadata.name": name, **one.labels} for name, one in spaces.items()}
    chosen = {name for name, values in labels.items() if selected(hook.get("namespaceSelector"), [_labelled(values)])}
    them = [one for one in cluster.pods if pods.component(one) in _MAKERS]
    them = [one for one in them if one.namespace in chosen or not mapping(hook.get("namespaceSelector"))]
    return bool(selected(hook.get("objectSelector"), them))


def _labelled(labels: JSON) -> Thing:
    return Thing({"kind": "Namespace", "metadata": {"labels": labels}})


def _unanswered(cluster: Cluster, space: str, name: str) -> str:
    """Why nobody answers at a Service; `` where somebody may."""
    service, ends = cluster.get("Service", space, name), cluster.get("Endpoints", space, name)
    if service is None:  # other namespaces were perhaps not looked at
        return NO_SERVICE if cluster.lacks("Service") and cluster.within("kube-system", "Pod") else ""
    selector = mapping(service.spec.get("selector"))
    behind = [one for one in cluster.pods if one.namespace == space and matches(selector, one.labels)]
    starting = any(cluster.age(one.created) < PATIENCE for one in (service, *behind))
    answered = any(items(one.get("addresses")) for one in listed(ends.raw if ends is not None else {}, "subsets"))
    seen_all = bool(behind) or cluster.lacks("Pod")
    ready = answered or any(pods.ready(one) for one in behind)
    return NO_ENDPOINTS if selector and seen_all and not (ready or starting) else ""


def namespaces(cluster: Cluster) -> Iterator[Finding]:
    """Namespaces that are being deleted and stay, and those that a hub still runs in."""
    for one in cluster.there("Namespace"):
        hubs = [pod for pod in cluster.pods if pod.namespace == one.name and pods.component(pod) in _MAKERS]
        if one.deleting and (hubs or cluster.age(one.deleting) > PATIENCE):
            waits = [row for row in listed(one.status, "conditions") if text(row.get("status")) == "True"]
            groups = any(text(row.get("type")) == "NamespaceDeletionDiscoveryFailure" for row in waits)
            left = "kubectl api-resources --verbs=list --namespaced -o name | xargs -n 1 kubectl get --show-kind"
            yield found(
                NAMESPACE_TERMINATING,
                f"{one.said} is being deleted since {span(cluster.age(one.deleting))}: nothing new can be made there",
                one.said, Confidence.CERTAIN, seen(f"{one.said} metadata.deletionTimestamp", day(one.deleting)),
                *(seen(f"{one.said} {text(row.get('type'))}", text(row.get("message"))) for row in waits),
                commands=(*(["kubectl get apiservices | grep False"] if groups else []),
                          f"{left} --ignore-not-found -n {one.name}"),
                about=(one, *hubs), since=one.deleting,
            )  # fmt: skip
