"""The recorded cases: verdict and root cause by code, what must be cited, what must not be said, what to do."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from perijove.cli.main import app
from perijove.doctor.cluster.diagnosis import diagnosed
from perijove.doctor.engine import Told
from perijove.domain.findings import Confidence
from perijove.wiring.cluster import from_folder

CASES = Path(__file__).parent
NOW = "2026-03-10T09:00:00Z"
FRONT = "front.acme-http01-blocked-by-front-proxy"


@dataclass(frozen=True)
class Case:
    name: str
    root: str
    verdict: str
    confidence: Confidence
    cites: tuple[str, ...]
    silent: tuple[str, ...]
    commands: tuple[str, ...]


CERTAIN = Confidence.CERTAIN
KNOWN = [
    Case(
        "seed-1-launch-hub-cert-expired", FRONT, "cluster.hub-api-tls-expired", CERTAIN,
        (
            "Secret binderhub/binder-secret values.yaml config.BinderHub.hub_url", "hub_url_local is unset",
            "Secret binderhub/proxy-public-tls-acme acme.json", "notAfter 2026-03-03", "< now", "front/nginx.conf:7",
            "return 301", "Error creating user", "certificate has expired",
        ),
        ("image pull", "provisioner", "NFS", "uninstall", "reinstall", "spawner failed"),
        (
            "config.BinderHub.hub_url_local: http://proxy-http:8000", "location ^~ /.well-known/acme-challenge/",
            "proxy_pass http://10.0.1.55:80", "listen 192.0.2.55:80", "nginx -t && systemctl reload nginx",
            "kubectl -n binderhub delete pod -l component=autohttps",
        ),
    ),
    Case(
        "seed-2-http01-404-front-nginx", FRONT, "cluster.acme-http01-selfcheck-404", CERTAIN,
        (
            "Challenge binderhub/binder.libretexts.example-tls-1-3287878625-1411452454 status.reason",
            "Ingress binderhub/binderhub spec.tls[0].secretName binder.libretexts.example-tls", "has no Secret",
            "ingress.local", "solver Pod", "Ready", "10.0.1.61", "nginx/1.14.0 (Ubuntu)", "front/nginx.conf:12",
            "listen 192.0.2.56:80", "front/tcpconf.d/lb", "no listener on :80",
        ),
        ("autohttps", "redirect alone", "ClusterIssuer", "reinstall"),
        (
            "location ^~ /.well-known/acme-challenge/", "proxy_pass http://10.0.1.61:80", "return 301 https://$host",
            "nginx -t && systemctl reload nginx", "do NOT revert", "cmctl status certificate",
        ),
    ),
    Case(
        "hub-crashloop-db-schema", "cluster.hub-db-schema-old", "cluster.hub-crashloop", CERTAIN,
        (
            "containerStatuses[hub].state.waiting", "CrashLoopBackOff", "exit code 1 within a second",
            "logs/hub-previous.log", "Found database schema version 651f5419b74d != 0eee8c825d24",
            "hub args lack --upgrade-db",
        ),
        ("corrupt", "delete the database"),
        ("back up", "hub.db.upgrade: true", "helm upgrade"),
    ),
    Case(
        "hub-pvc-no-storageclass", "cluster.no-default-storageclass", "cluster.pvc-no-storageclass", CERTAIN,
        (
            "PersistentVolumeClaim binderhub/hub-db-dir phase", "Pending, spec.storageClassName unset",
            "event FailedBinding", "no StorageClass object with storageclass.kubernetes.io/is-default-class",
        ),
        ("not enough", "NFS server"),
        (
            "kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true", "local-path",
            "sqlite-memory", "delete pvc hub-db-dir",
        ),
    ),
    Case(
        "issuer-kind-mismatch", "cluster.annotation-says-issuer-object-is-clusterissuer", "cluster.issuer-not-found",
        CERTAIN,
        (
            "cert-manager.io/issuer: letsencrypt-production", "ClusterIssuer letsencrypt-production",
            "exists and is Ready", "there is none in namespace binderhub", 'Referenced "Issuer" not found',
        ),
        ("Let's Encrypt", "port 80", "account"),
        (
            "kubectl -n binderhub annotate ingress binderhub cert-manager.io/issuer- "
            "cert-manager.io/cluster-issuer=letsencrypt-production", "config.yaml",
        ),
    ),
    Case(
        "order-rate-limited-duplicate", "cluster.duplicate-certificate-limit", "cluster.acme-rate-limited", CERTAIN,
        (
            "Order binderhub/binder-example-tls-1-1367476076 status.state", "errored", "status.reason",
            "urn:ietf:params:acme:error:rateLimited", "retry after 2026-03-12T01:29:08Z",
        ),
        ("port 80", "DNS", "delete the certificate", "kubectl delete"),
        ("get secret NAME -o yaml", "add one more name", "wait until 2026-03-12T01:29:08Z", "staging"),
    ),
    Case(
        "userpod-dockerhub-429", "cluster.dockerhub-anonymous-pulls", "cluster.image-pull-rate-limited", CERTAIN,
        ("429 Too Many Requests", "toomanyrequests", "spec.imagePullSecrets", "absent"),
        ("not exist", "delete the node", "delete node"),
        ("jupyterhub.imagePullSecret: {create: true", "index.docker.io", "quay.io", "6 h"),
    ),
    Case(
        "userpod-insufficient-memory", "cluster.request-larger-than-any-node", "cluster.pod-unschedulable-memory",
        CERTAIN,
        ("FailedScheduling", "21474836480", "node1 allocatable memory", "16200604Ki"),
        ("full", "try again later", "cull"),
        ("jupyterhub.singleuser.memory.guarantee: 12G", "larger node"),
    ),
]  # fmt: skip


@cache
def roots(name: str, now: float | None = None) -> tuple[Told, ...]:
    """What a recorded case comes to."""
    return diagnosed(from_folder(CASES / name, now)).told


@cache
def told(folder: Path, *flags: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, ["doctor", "kubernetes", "--from", str(folder), "--now", NOW, *flags])
    return ran.exit_code, ran.output


def codes(root: Told) -> list[str]:
    return [root.finding.code, *(code for one in root.explains for code in codes(one))]


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: case.name)
def test_a_recorded_case_has_one_root_cause(case: Case) -> None:
    [root] = roots(case.name)
    assert root.finding.code == case.root
    assert case.verdict in codes(root)
    assert root.finding.confidence is case.confidence


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: case.name)
def test_it_cites_what_shows_it_and_says_nothing_that_is_excluded(case: Case) -> None:
    status, output = told(CASES / case.name)
    assert status == 1
    assert [one for one in case.cites if one not in output] == []
    head = output.partition(str(CASES / case.name))[2]
    assert [one for one in case.silent if one.lower() in _without_evidence(head)] == []


def _without_evidence(output: str) -> str:
    """What the doctor says by itself; names and words of objects are not its own."""
    return output.lower().replace("clusterissuer letsencrypt", "")


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: case.name)
def test_its_remedy_can_be_pasted(case: Case) -> None:
    [root] = roots(case.name)
    commands = "\n".join(root.finding.commands)
    assert [one for one in case.commands if one not in commands] == []


def test_a_healthy_cluster_behind_a_redirect_gives_nothing() -> None:
    status, output = told(CASES / "healthy-redirect-is-fine")
    assert status == 2, "no log was recorded"
    assert "the log of binder: nobody recorded it" in output
    assert not any(word in output for word in ("✗", "→", "redirect blocks", "Readiness probe failed"))


def test_launches_and_the_fake_certificate_are_folded_beneath_the_front() -> None:
    [first] = roots("seed-1-launch-hub-cert-expired")
    assert {"cluster.certificate-expired", "cluster.launches-fail"} <= set(codes(first))
    [second] = roots("seed-2-http01-404-front-nginx")
    assert "cluster.fake-certificate" in codes(second)


def without(case: str, there: Path, *names: str) -> Path:
    """A recording less some of its files."""
    shutil.copytree(CASES / case, there / case)
    for name in names:
        path = there / case / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return there / case


def test_without_the_configuration_the_front_is_likely_and_the_hop_is_named(tmp_path: Path) -> None:
    folder = without("seed-2-http01-404-front-nginx", tmp_path, "front")
    [root] = diagnosed(from_folder(folder, None)).told
    assert (root.finding.code, root.finding.confidence) == (FRONT, Confidence.LIKELY)
    assert "nginx/1.14.0 (Ubuntu)" in root.finding.failure.cause
    assert "front/" in root.finding.surer_with


def test_objects_alone_narrow_it_down_and_blame_nobody(tmp_path: Path) -> None:
    folder = without("seed-2-http01-404-front-nginx", tmp_path, "front", "probes.json", "served-443.pem")
    [root] = diagnosed(from_folder(folder, None)).told
    assert (root.finding.code, root.finding.confidence) == ("cluster.acme-http01-selfcheck-404", CERTAIN)
    assert "something in front of the ingress controller" in root.finding.failure.cause
    assert "probes.json" in root.finding.surer_with


def test_the_other_recording_of_the_same_fault_ends_in_the_same_cause(tmp_path: Path) -> None:
    folder = without("seed-2-http01-404-front-nginx", tmp_path, "front", "probes.json")
    (folder / "probes-variant-default-site.json").rename(folder / "probes.json")
    [likely] = diagnosed(from_folder(folder, None)).told
    assert (likely.finding.code, likely.finding.confidence) == (FRONT, Confidence.LIKELY)
    (folder / "front-variant-default-site").rename(folder / "front")
    [certain] = diagnosed(from_folder(folder, None)).told
    assert (certain.finding.code, certain.finding.confidence) == (FRONT, CERTAIN)
    assert "try_files" in str(certain.finding.failure.evidence) or "front/nginx.conf" in certain.finding.subject


def test_an_expired_hub_certificate_is_likely_by_objects_and_certain_by_a_handshake(tmp_path: Path) -> None:
    case = "seed-1-launch-hub-cert-expired"
    folder = without(case, tmp_path, "front", "probes.json", "served-443.pem", "logs")
    [root] = diagnosed(from_folder(folder, None)).told
    assert (root.finding.code, root.finding.confidence) == ("cluster.hub-api-tls-expired", Confidence.LIKELY)
    again = tmp_path / "again"
    again.mkdir()
    [front] = diagnosed(from_folder(without(case, again, "front"), None)).told
    assert (front.finding.code, front.finding.confidence) == (FRONT, Confidence.LIKELY)


def test_a_crash_loop_without_its_log_has_only_a_hint(tmp_path: Path) -> None:
    [root] = diagnosed(from_folder(without("hub-crashloop-db-schema", tmp_path, "logs"), None)).told
    assert (root.finding.code, root.finding.confidence) == ("cluster.hub-db-schema-old", Confidence.POSSIBLE)
    assert "--previous" in root.finding.surer_with


def test_no_value_of_a_secret_is_ever_told() -> None:
    for case in KNOWN:
        for flags in ((), ("--json",)):
            _, output = told(CASES / case.name, *flags)
            assert "fb04dcb6970e4c3d1873" not in output
            assert "ZmIwNGRjYjY5NzBlNGMz" not in output
            assert "REDACTED" not in output
