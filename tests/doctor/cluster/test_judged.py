"""Recorded cases, judged sentence by sentence by their expected.md: roots, what they explain, cites, silence, remedies.

Those of `test_cases` have one root each; of these some have two that have nothing to do with one another, or none.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from perijove.doctor.engine import Told
from perijove.domain.cluster import moment
from perijove.domain.findings import Confidence, Finding
from tests.doctor.cluster.judged_cases import LATE, LAUNCHES, MORE, Case, Tree
from tests.doctor.cluster.test_cases import CASES, KNOWN, roots, told

NOW = moment("2026-03-10T09:00:00Z")
CASES_OF_MORE = [
    *MORE,
    Case(
        "admission-422", {"cluster.admission-refused": LAUNCHES},
        ("logs/hub.log", "spec.initContainers[0].securityContext.privileged: Forbidden: disallowed by cluster policy"),
        ("image pull", "scheduling", "storage"),
        ("blockWithIptables: false", "NetworkPolicy"),
    ),
    Case(
        "cert-manager-gone", {"cluster.cert-manager-down": {}},
        (
            "Certificate binderhub/binder-example-tls status", "renewalTime 2026-", "cert-manager-controller",
            "in binderhub, ",
        ),
        ("works",), ("helm upgrade --install cert-manager",),
    ),
    Case(
        "challenge-present-forbidden",
        {"cluster.challenge-forbidden": {"cluster.challenge-not-presented": LATE}},
        (
            'status.reason: ingresses.networking.k8s.io is forbidden: User "system:serviceaccount:cert-manager',
            "Event PresentError", "Error presenting challenge: ingresses.networking.k8s.io is forbidden",
        ),
        ("has not been issued",),
        ("kind: ClusterRole", 'apiGroups: ["networking.k8s.io"], resources: ["ingresses"]', "create",
         "kind: ServiceAccount, name: cert-manager, namespace: cert-manager"),
    ),
    Case(
        "coredns-down",
        {"cluster.cluster-names-down": {"cluster.hub-name-unresolved": LAUNCHES}},
        ("coredns-7c65d6cfc9-fpx22", "coredns-7c65d6cfc9-wxl2w", "CrashLoopBackOff", "Could not resolve host"),
        (), ("kubectl -n kube-system logs coredns-",),
    ),
    Case(
        "dockerhub-429-and-solver-class-missing",
        {
            "cluster.dockerhub-anonymous-pulls": {"cluster.image-pull-rate-limited": {}},
            "cluster.ingress-class-unknown": {"cluster.acme-http01-selfcheck-404": LATE},
        },
        ("toomanyrequests", "ClusterIssuer letsencrypt spec.acme.solvers[0].http01.ingress: traefik",
         "IngressClass objects: nginx", "wrong status code '404'"),
        (), ('"value": "nginx"', "clusterissuer.cert-manager.io letsencrypt"),
    ),
    Case("healthy-in-the-middle-of-things", {}),
    Case("healthy-redirect-is-fine", {}),
    Case(
        "hub-timeout-and-unrelated-node",
        {"cluster.node-not-ready": {}, "cluster.hub-api-timeout": LAUNCHES},
        ("Node worker-4", "30 d", "HTTP 599: Timeout", "what brings that about is not in what was seen"),
    ),
    Case(
        "hub-url-lacks-baseurl", {"cluster.hub-url-wrong-path": LAUNCHES},
        ("HTTP 404: Not Found", "probe GET http://proxy-public.binderhub.svc/hub/api/health: 404",
         "probe GET http://proxy-public.binderhub.svc/jupyterhub/hub/api/health: 200"),
        (), ("hub_url: https://hub.binder.example/jupyterhub/", "hub_url_local: http://proxy-public/jupyterhub/"),
    ),
    Case(
        "ingress-class-unknown", {"cluster.ingress-class-unknown": {}},
        ("Ingress binderhub/binderhub spec.ingressClassName: nginx-public", "IngressClass objects: nginx",
         "Ingress binderhub/binderhub status.loadBalancer: empty"),
        (), ("patch ingress binderhub", '"ingressClassName":"nginx"'),
    ),
    Case(
        "inotify-limit", {"cluster.inotify-exhausted": {"cluster.pod-crashloop": {}}},
        ("failed to create fsnotify watcher: too many open files", "CrashLoopBackOff", "Pod binderhub/build-"),
        ("20522",),
        ("sysctl -w fs.inotify.max_user_instances=8192 fs.inotify.max_user_watches=524288", "/etc/sysctl.d"),
    ),
    Case(
        "launch-500-and-monitoring-volume",
        {"cluster.storageclass-not-found": {"cluster.pod-waits-for-volume": {}}, "cluster.launches-fail": {}},
        ("HTTP 500: Internal Server Error", "what brings that about is not in what was seen", "logs/hub.log",
         "fast-ssd"),
    ),
    Case(
        "node-notready-and-push-denied",
        {
            "cluster.node-not-ready": {"cluster.hub-not-ready": {}, "cluster.pod-stuck-terminating": {}},
            "cluster.push-denied": {},
        },
        ("Node worker-3", "denied: requested access to the resource is denied"),
    ),
    Case(
        "node-purpose-affinity", {"cluster.node-selector-mismatch": {}},
        ("spec.affinity.nodeAffinity", "hub.jupyter.org/node-purpose In user", "Node worker-1 labels"),
        ("taint", "memory"),
        ("kubectl label node worker-1 hub.jupyter.org/node-purpose=user", "matchNodePurpose: prefer"),
    ),
    Case(
        "proxy-token-mismatch",
        {"cluster.proxy-token-mismatch": {"cluster.hub-crashloop": {}, "cluster.tokens-change-at-restart": {}}},
        ("CONFIGPROXY_AUTH_TOKEN", "Secret binderhub/hub metadata.managedFields: changed 2026-03-10T07:59:00Z",
         "Pod binderhub/proxy-l58kbbfdd-jgtnd status.containerStatuses: running since 2026-02-18T09:00:00Z"),
        (), ("kubectl -n binderhub delete pod proxy-l58kbbfdd-jgtnd",),
    ),
    Case(
        "taint-and-unrelated-diskpressure",
        {"cluster.taint-untolerated": {}, "cluster.node-disk-pressure": {}},
        ("hub.jupyter.org/dedicated", "Node cp-1 has DiskPressure", "Node worker-1 spec.taints"),
        ("kubectl taint",), ("tolerations:", "key: hub.jupyter.org/dedicated", "effect: NoSchedule"),
    ),
]  # fmt: skip
IDS = [case.name for case in CASES_OF_MORE]
FOLDERS = sorted(path.parent for path in CASES.glob("*/expected.md"))


def tree(those: tuple[Told, ...]) -> Tree:
    found: Tree = {}
    for one in those:
        found.setdefault(one.finding.code, {}).update(tree(one.explains))
    return found


def all_of(roots: tuple[Told, ...]) -> list[Finding]:
    return [finding for one in roots for finding in (one.finding, *all_of(one.explains))]


def own_words(finding: Finding) -> str:
    return " ".join((finding.failure.cause, finding.failure.remedy, *finding.commands)).lower()


@pytest.mark.parametrize("case", CASES_OF_MORE, ids=IDS)
def test_each_root_is_told_once_with_what_follows_from_it(case: Case) -> None:
    found = roots(case.name, NOW)
    assert tree(found) == case.roots
    assert len(found) == len(case.roots)


@pytest.mark.parametrize("case", CASES_OF_MORE, ids=IDS)
def test_it_cites_what_shows_it(case: Case) -> None:
    status, output = told(CASES / case.name)
    assert status == (1 if case.roots else 2)
    assert [one for one in case.cites if one not in output] == []


@pytest.mark.parametrize("case", CASES_OF_MORE, ids=IDS)
def test_it_says_nothing_that_is_excluded_and_its_remedies_are_filled_in(case: Case) -> None:
    findings = all_of(roots(case.name, NOW))
    words = "\n".join(own_words(one) for one in findings)
    assert [one for one in case.silent if one.lower() in words] == []
    commands = "\n".join(command for one in findings for command in one.commands)
    assert [one for one in case.commands if one not in commands] == []
    assert not any(word in commands for word in ("NAMESPACE", "NODE", "KEY=VALUE"))


def test_what_is_independent_is_certain_and_what_was_inferred_is_less() -> None:
    (launches,) = roots("admission-422", NOW)[0].explains
    assert (launches.finding.confidence, launches.finding.follows) == (Confidence.CERTAIN, Confidence.LIKELY)


def test_every_recorded_case_is_judged() -> None:
    assert {path.name for path in FOLDERS} == {*IDS, *(case.name for case in KNOWN)}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_remedies_are_shell_values_of_helm_or_lines_of_nginx(folder: Path) -> None:
    """What is pasted is understood: by a shell, or as YAML in which no key has dots that Helm would pass over."""
    for finding in all_of(roots(folder.name, NOW)):
        for command in finding.commands:
            if "in config.yaml, then helm upgrade" in command.partition("\n")[0] and "\n" in command:
                values = yaml.safe_load(command)
                assert isinstance(values, dict)
                assert not any("." in key for key in keys(values))
                assert values.keys() <= {"jupyterhub", "config", "imageBuilderType", "ingress", "registry"}
            elif not command.startswith("server {"):
                ran = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
                assert ran.returncode == 0, command


def keys(values: dict[str, Any]) -> list[str]:
    inner = [value for value in values.values() if isinstance(value, dict)]
    return [*values, *(key for one in inner for key in keys(one))]
