"""What does the Kubernetes API refuse to those who make pods? In: its words in their logs and in events. Pure.

Facts: kubernetes 1.33 plugin/pkg/admission/resourcequota/controller.go (quotas), staging/src/k8s.io/apiserver
pkg/util/webhook/error.go (webhooks) and pkg/endpoints/handlers/responsewriters/errors.go (rights),
staging/src/k8s.io/pod-security-admission admission/admission.go (PodSecurity); etcd 3.5
api/v3rpc/rpctypes/error.go (its store).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from perijove.doctor.cluster import admission, pods
from perijove.doctor.cluster.acme_words import refusal
from perijove.doctor.cluster.graph import CERT_MANAGER, KUBERNETES_API
from perijove.doctor.cluster.helm import hub
from perijove.doctor.cluster.known_lines import REFUSED, UNSTARTED
from perijove.doctor.cluster.log_lines import Log, when
from perijove.doctor.cluster.telling import around, found, seen
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_failures as rows
from perijove.domain import cluster_ground_failures as ground
from perijove.domain.cluster import Thing, listed, mapping, text
from perijove.domain.cluster_session_failures import NAMESPACE_TERMINATING, WEBHOOK_DOWN
from perijove.domain.cluster_tls_failures import CERT_MANAGER_WEBHOOK_BROKEN
from perijove.domain.failures import Evidence, Kind
from perijove.domain.findings import Confidence, Finding

DAY = 86400.0
"""Seconds after which a line of a log is not of now."""
LATELY = 3600.0
"""Seconds after which an event is not of now: they are kept for an hour."""
QUOTA = re.compile(r'(?P<how>exceeded|failed|status unknown for) quota: (?P<name>[^\s,:"]+)[,:]?(?P<what>[^"]*)')
WEBHOOK = re.compile(r'failed calling webhook \\?"(?P<name>[\w.-]+)')
_SERVICE = re.compile(r"https://(?P<name>[\w-]+)\.(?P<space>[\w-]+)\.svc")
_RIGHT = re.compile(r"cannot \w+ resource")
STORE = re.compile(
    r"(?<!\| )etcdserver: (?:request timed out|leader changed|no leader|mvcc: database space exceeded|"
    r"too many requests|not capable|server stopped|unhealthy cluster|corrupt cluster)"
)
"""With a bar before it, it is one of etcd's own ordinary lines."""
_PASSING = re.compile(r"request timed out|leader changed|no leader|server stopped")
"""What an etcd says too while one of its members is started again."""
MANY = 3
_SECURITY = re.compile(r'violates PodSecurity "(?P<level>\w+)')
_FORBIDDEN = re.compile(r'is (?:forbidden|invalid): (.+?)(?:",|$)')
TERMINATING = re.compile(r"unable to create new content in namespace ([\w-]+) because it is being terminated")
"""kubernetes 1.33 staging/src/k8s.io/apiserver pkg/admission/plugin/namespace/lifecycle/admission.go."""
_ACCOUNT = re.compile(r"error looking up service account ([\w.-]+)/([\w.-]+):")
"""kubernetes 1.33 plugin/pkg/admission/serviceaccount/admission.go."""
_BUILDERS = {"dind", "podman"}
_WHY = (
    ("not found", admission.NO_SERVICE),
    ("no endpoints available", admission.NO_ENDPOINTS),
    ("x509", "its certificate is not believed"),
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API's words, as somebody wrote them down last."""

    words: str
    evidence: tuple[Evidence, ...]
    about: tuple[Thing | str, ...]
    since: float
    count: int
    namespace: str
    """`` where nothing says it."""


def _refusals(
    cluster: Cluster, pattern: re.Pattern[str], *of: str, unless: Sequence[re.Pattern[str]] = ()
) -> Iterator[Refusal]:
    """In logs of some components and in events about objects that have pods made; without, wherever it stands."""

    def fits(words: str) -> bool:
        return pattern.search(words) is not None and not any(other.search(words) for other in unless)

    for log in cluster.all_logs:
        lines = [one for one in _dated(log) if fits(one[1])] if not of or log.of in of else []
        lines = [one for one in lines if not 0 < one[0] < cluster.now - DAY]
        if lines:
            _, last, begun = lines[-1]
            told = (seen(log.name, around(pattern.pattern, line.strip())) for line in (begun, last) if line)
            space = next((one.namespace for one in log.pods), "")
            about: tuple[Thing | str, ...] = (log.name, *log.pods)
            yield Refusal(last.replace('\\"', '"'), tuple(told), about, lines[0][0], len(lines), space)
    for told_of in cluster.events_by_object.values():
        fresh = (one for one in told_of if cluster.now - one.last < LATELY and (not of or one.reason == "FailedCreate"))
        one = next((one for one in fresh if fits(one.message)), None)
        if one is not None:
            yield Refusal(one.message, (seen(one.where, one.message),), (one.said,), one.first, one.count, one.about[1])


def _dated(log: Log) -> Iterator[tuple[float, str, str]]:
    """When each line was written; the line; and the one before it that says when, where it does not itself."""
    begun = ""
    for line in log.lines:
        if UNSTARTED.search(line):
            begun = line
        at = when(line)
        yield (at, line, "") if at else (when(begun), line, begun)


def _by(refusals: Iterator[Refusal], key: Callable[[Refusal], str]) -> Iterator[tuple[str, list[Refusal]]]:
    groups: dict[str, list[Refusal]] = {}
    for one in refusals:
        groups.setdefault(key(one), []).append(one)
    yield from groups.items()


def _one(
    row: Kind, cause: str, subject: str, them: Sequence[Refusal], *more: Evidence,
    about: Sequence[Thing | str] = (), commands: Sequence[str] = (), because: Kind | None = None, remedy: str = "",
) -> Finding:  # fmt: skip
    told = [evidence for one in them[:3] for evidence in one.evidence]
    everything = [*about, *(thing for one in them for thing in one.about)]
    begun = min((one.since for one in them if one.since), default=0)
    return found(
        row, cause, subject, Confidence.CERTAIN, *told, *more, commands=commands, about=everything, since=begun,
        because=because, remedy=remedy,
    )  # fmt: skip


def quotas(cluster: Cluster) -> Iterator[Finding]:
    """Quotas of namespaces that forbid pods."""
    miscounted: dict[str, Finding] = {}
    for quota in cluster.of("ResourceQuota"):
        for one in _miscounted(cluster, quota):
            miscounted[f"{quota.namespace}/{quota.name}"] = one
            yield one
    for place, them in _by(_refusals(cluster, QUOTA), _quota_named):
        whose, _, name = place.rpartition("/")
        alike = [one for one in cluster.of("ResourceQuota") if one.name == name]
        there = [one for one in alike if one.namespace == whose] or alike
        space = next(iter([*(one.namespace for one in there), *(one.namespace for one in them)]), "")
        where = ["-n", space] if space else ["-A"]
        match = QUOTA.search(them[0].words)
        how, what = (match["how"], match["what"]) if match is not None else ("", "")
        lacks, uncounted = how == "failed", how.startswith("status")
        cause = f"The API refuses pods: the quota {name} " + (
            f"asks of each what it does not say:{what}" if lacks else
            "has not been counted yet, by kube-controller-manager" if uncounted else "is exceeded"
        )  # fmt: skip
        edit = f"kubectl -n {space} edit resourcequota {name}   # raise what is used up, or stop what uses it"
        root = miscounted.get(f"{space}/{name}")
        told = (f"kubectl {' '.join(where)} describe resourcequota", *([edit] if there else []))
        if lacks:
            told = (_said_of_each(cluster, what, space),)
        elif uncounted:
            told = (*told[:1], "kubectl -n kube-system get pods -l component=kube-controller-manager")
        yield _one(
            rows.RESOURCE_QUOTA_EXCEEDED, cause, there[0].said if there else str(them[0].about[0]), them,
            *(seen(f"{one.said} status", _state(one)) for one in there), about=there,
            commands=() if root else told,
            remedy="Have pods say what the quota counts." if lacks else "Wait a minute, or see that it is counted."
            if uncounted else "",
            because=root.failure.kind if root else None,
        )  # fmt: skip


def _said_of_each(cluster: Cluster, what: str, space: str) -> str:
    """How what a quota counts is said of each pod: by the charts' values for servers, by a LimitRange for all else."""
    own = {"cpu": ("singleuser.cpu.limit", 1), "memory": ("singleuser.memory.limit", "2G"),
           "ephemeral-storage": ("singleuser.extraResource.limits", {"ephemeral-storage": "10Gi"})}  # fmt: skip
    named = [key for key in own if key in what]
    if named and "for: " not in what.replace("for: notebook", ""):
        return hub(cluster, dict(own[key] for key in named), "what each server may use")
    sizes = {"cpu": "1", "memory": "2Gi", "ephemeral-storage": "10Gi"}
    usual = ", ".join(f'"{key}": "{sizes[key]}"' for key in named or own)
    limits = f'{{"limits": [{{"type": "Container", "default": {{{usual}}}}}]}}'
    made = f'{{"apiVersion": "v1", "kind": "LimitRange", "metadata": {{"name": "usual"}}, "spec": {limits}}}'
    return f"kubectl{f' -n {space}' if space else ''} apply -f - <<< '{made}'"


def _quota_named(one: Refusal) -> str:
    match = QUOTA.search(one.words)
    return f"{one.namespace}/{match['name'] if match is not None else ''}"


def _state(quota: Thing) -> str:
    hard, used = mapping(quota.status.get("hard")), mapping(quota.status.get("used"))
    return ", ".join(f"{key}: {text(used.get(key))} of {text(most)}" for key, most in sorted(hard.items()))


def _miscounted(cluster: Cluster, quota: Thing) -> Iterator[Finding]:
    hard, used = mapping(quota.status.get("hard")), mapping(quota.status.get("used"))
    most, taken = pods.quantity(hard.get("pods")), pods.quantity(used.get("pods"))
    there = [one for one in cluster.pods if one.namespace == quota.namespace]
    if most and taken >= most and len(there) < most / 2 and cluster.lacks("Pod"):
        yield found(
            rows.RESOURCE_QUOTA_MISCOUNTED,
            f"{quota.said} counts {text(used.get('pods'))} pods, and there are {len(there)}",
            quota.said, Confidence.CERTAIN,
            seen(f"{quota.said} status", f"used pods {text(used.get('pods'))}, hard pods {text(hard.get('pods'))}"),
            seen(f"pods of {quota.namespace}", str(len(there))),
            commands=(f"kubectl -n {quota.namespace} delete resourcequota {quota.name}",),
        )  # fmt: skip


def others(cluster: Cluster) -> Iterator[Finding]:
    """Webhooks that cannot be called, rights that are lacking, policies that forbid, a store that does not answer."""
    yield from _webhooks(cluster)
    yield from admission.webhooks(cluster)
    yield from admission.namespaces(cluster)
    yield from _terminating(cluster)
    yield from _rights(cluster)
    yield from _policies(cluster)
    them = [one for one in _refusals(cluster, STORE) if not _is_over(cluster, one)]
    full = any("space exceeded" in one.words for one in them)
    if them:
        yield _one(
            ground.API_STORE_ILL, "etcd takes nothing more, for its database is full" if full else
            "The API hands on what etcd says", KUBERNETES_API, them, about=(KUBERNETES_API,),
            commands=("kubectl -n kube-system get pods -l component=etcd -o wide", *(_ROOM if full else ())),
        )  # fmt: skip


def _is_over(cluster: Cluster, one: Refusal) -> bool:
    passing = _PASSING.search(one.words) is not None and one.count < MANY
    return passing and 0 < one.since < cluster.now - LATELY


_ROOM = (
    "# with etcdctl's own flags, on each member: make room, then let it write again (etcd.io/docs, Maintenance)",
    "etcdctl compact $(etcdctl endpoint status -w json | grep -o '\"revision\":[0-9]*' | head -1 | cut -d: -f2)",
    "etcdctl defrag && etcdctl alarm disarm",
)


def _webhook_named(one: Refusal) -> str:
    match = WEBHOOK.search(one.words)
    return match["name"] if match is not None else ""


def _webhooks(cluster: Cluster) -> Iterator[Finding]:
    for name, them in _by(_refusals(cluster, WEBHOOK), _webhook_named):
        match = _SERVICE.search(them[0].words)
        service = f"{match['space']}/{match['name']}" if match is not None else ""
        why = next((told for words, told in _WHY if words in them[0].words), "its Service does not answer")
        of_manager = name == "webhook.cert-manager.io"
        listing = "'custom-columns=KIND:.kind,NAME:.metadata.name,WEBHOOKS:.webhooks[*].name'"
        commands = [
            f"kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o {listing} | grep {name}"
        ]
        if match is not None:
            commands.insert(0, f"kubectl -n {match['space']} get services,endpoints,pods")
        configured = [one for one in cluster.there(*admission.WEBHOOKS) if any(
            text(hook.get("name")) == name for hook in listed(one.raw, "webhooks"))]  # fmt: skip
        commands += [
            f"kubectl delete {one.kind.lower()} {one.name}   # only where its program was removed for good"
            for one in configured if why == _WHY[0][1] and not of_manager
        ]  # fmt: skip
        yield _one(
            CERT_MANAGER_WEBHOOK_BROKEN if of_manager else WEBHOOK_DOWN,
            f"The API has to ask the webhook {name}, and cannot: {why}",
            f"Webhook {name}", them, about=[*([f"Service {service}"] if service else []), *configured,
                                            *([CERT_MANAGER] if of_manager else [])],
            commands=commands,
        )  # fmt: skip


def _terminating(cluster: Cluster) -> Iterator[Finding]:
    """The same as `admission.namespaces`, in the API's words."""
    for said, them in _by(_refusals(cluster, TERMINATING), lambda one: "".join(TERMINATING.findall(one.words)[:1])):
        yield _one(
            NAMESPACE_TERMINATING, f"The API makes nothing new in {said}, which is being deleted", f"Namespace {said}",
            them, about=(f"Namespace {said}",), commands=(f"kubectl get namespace {said} -o yaml",),
        )  # fmt: skip


def _rights(cluster: Cluster) -> Iterator[Finding]:
    """Of cert-manager's service account its challenges tell."""
    done = set()
    for one in _refusals(cluster, _RIGHT, "hub", "binder"):
        lacks = refusal(one.words)
        account = f"{lacks.namespace}/{lacks.account}" if lacks is not None else ""
        if lacks is None or account in done:
            continue
        done.add(account)
        yield _one(
            rows.ACCOUNT_FORBIDDEN, f"The service account {account} may not {lacks.verb} {lacks.resource}",
            f"ServiceAccount {account}", [one],
            commands=(
                f"kubectl auth can-i {lacks.verb} {lacks.resource} -n {one.namespace or lacks.namespace} "
                f"--as system:serviceaccount:{lacks.namespace}:{lacks.account}",
                hub(cluster, {"rbac.create": True}, "the charts then make the role and its binding"),
            ),
        )  # fmt: skip


def _policies(cluster: Cluster) -> Iterator[Finding]:
    """Pods that the API takes to be forbidden."""
    for one in _refusals(cluster, REFUSED, "hub", "binder", unless=(QUOTA, _RIGHT, WEBHOOK, TERMINATING)):
        privileged = "privileged" in one.words.lower() or "NET_ADMIN" in one.words
        off = hub(
            cluster, {"singleuser.cloudMetadata.blockWithIptables": False},
            "and keep users from 169.254.169.254 by a NetworkPolicy",
        )  # fmt: skip
        security = _SECURITY.search(one.words)
        label, level = _labelled(cluster, one.namespace) if security is not None and one.namespace else ("", "")
        space = next((there for there in cluster.there("Namespace") if there.name == one.namespace and label), None)
        key = "pod-security.kubernetes.io/enforce"
        told = [seen(f"{space.said} labels", f"{key}: {text(space.labels[key])}")] if (
            space is not None and key in space.labels) else []  # fmt: skip
        yield _one(
            rows.ADMISSION_REFUSED, f"The API refused pods {one.count} times{_reason(one)}", str(one.about[0]), [one],
            *told, commands=[*_missing_account(one), *([label] if label else []),
                             *([off] if privileged and level != "privileged" else [])],
        )  # fmt: skip
        return


def _reason(one: Refusal) -> str:
    match = _FORBIDDEN.search(one.words)
    return f": {match[1][:200]}" if match is not None else ""


def _missing_account(one: Refusal) -> Iterator[str]:
    """The account that pods shall run as, which is not there."""
    match = _ACCOUNT.search(one.words)
    if match is not None:
        yield f"kubectl -n {match[1]} create serviceaccount {match[2]}   # or name another in config.yaml"


def _labelled(cluster: Cluster, namespace: str) -> tuple[str, str]:
    """The mildest level that lets in what the charts make there: builders are privileged."""
    builds = any(pods.component(one) in _BUILDERS and one.namespace == namespace for one in cluster.pods)
    level = "privileged" if builds else "baseline"
    return f"kubectl label namespace {namespace} pod-security.kubernetes.io/enforce={level} --overwrite", level


def is_known(line: str) -> bool:
    """Whether a rule of this module knows it."""
    return any(one.search(line) for one in (QUOTA, WEBHOOK, STORE, TERMINATING))
