"""`perijove convert issuer`: what cert-manager understood before 1.0, as cert-manager.io/v1, and what is left to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from perijove.cli.main import app

LONG = "a-key-id-that-is-longer-than-any-terminal-is-wide-" * 4
ISSUER = f"""
apiVersion: certmanager.k8s.io/v1alpha1
kind: ClusterIssuer
metadata:
  name: letsencrypt
  namespace: default
  uid: 1b2c
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{{}}'
spec:
  acme:
    server: https://acme-v01.api.letsencrypt.org/directory
    email: me@example.org
    externalAccountBinding: {{keyID: {LONG}}}
    privateKeySecretRef: {{name: letsencrypt}}
    http01: {{serviceType: NodePort}}
    dns01:
      providers:
      - name: google
        clouddns: {{project: p, serviceAccountSecretRef: {{name: s, key: k}}}}
status: {{conditions: []}}
"""
CERTIFICATE = """
apiVersion: certmanager.k8s.io/v1alpha1
kind: Certificate
metadata: {name: binder-tls, namespace: binder, ownerReferences: [{name: x}]}
spec:
  secretName: binder-tls
  dnsNames: [binder.example.org, "*.example.org"]
  issuerRef: {name: letsencrypt, kind: ClusterIssuer}
  keySize: 2048
  keyAlgorithm: rsa
  keyEncoding: pkcs1
  organization: [us]
  acme:
    config:
    - http01: {ingressClass: nginx}
      domains: [binder.example.org]
    - dns01: {provider: google}
      domains: ["*.example.org"]
"""
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: binder
  namespace: binder
  annotations:
    certmanager.k8s.io/cluster-issuer: letsencrypt
    certmanager.k8s.io/acme-challenge-type: http01
    kept: "yes"
spec: {rules: []}
"""
OLD_CHALLENGE = "apiVersion: certmanager.k8s.io/v1alpha1\nkind: Challenge\nmetadata: {name: c}\n"


def converted(folder: Path, *documents: str) -> tuple[Result, dict[str, dict[str, Any]]]:
    """What it left, and its documents by kind."""
    path = folder / "old.yaml"
    path.write_text("---\n".join(documents))
    done = CliRunner().invoke(app, ["convert", "issuer", str(path)])
    return done, {one["kind"]: one for one in yaml.safe_load_all(done.stdout) if one}


def test_issuer_certificate_and_ingress_of_one_file(tmp_path: Path) -> None:
    done, documents = converted(tmp_path, ISSUER, CERTIFICATE, INGRESS)
    issuer, certificate, ingress = (documents[kind] for kind in ("ClusterIssuer", "Certificate", "Ingress"))
    assert issuer == {
        "apiVersion": "cert-manager.io/v1",
        "kind": "ClusterIssuer",
        "metadata": {"name": "letsencrypt"},
        "spec": {
            "acme": {
                "server": "https://acme-v02.api.letsencrypt.org/directory",
                "email": "me@example.org",
                "externalAccountBinding": {"keyID": LONG},
                "privateKeySecretRef": {"name": "letsencrypt"},
                "solvers": [
                    {
                        "selector": {"dnsNames": ["*.example.org"]},
                        "dns01": {"cloudDNS": {"project": "p", "serviceAccountSecretRef": {"name": "s", "key": "k"}}},
                    },
                    {"http01": {"ingress": {"serviceType": "NodePort", "class": "nginx"}}},
                ],
            }
        },
    }
    assert certificate == {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "binder-tls", "namespace": "binder"},
        "spec": {
            "secretName": "binder-tls",
            "dnsNames": ["binder.example.org", "*.example.org"],
            "issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer", "group": "cert-manager.io"},
            "privateKey": {"size": 2048, "algorithm": "RSA", "encoding": "PKCS1"},
            "subject": {"organizations": ["us"]},
        },
    }
    assert ingress["metadata"]["annotations"] == {"cert-manager.io/cluster-issuer": "letsencrypt", "kept": "yes"}
    assert done.exit_code == 1, "an annotation has no successor"
    assert "acme-challenge-type: http01 has no successor" in done.stderr


def test_what_was_changed_is_told_beside_it(tmp_path: Path) -> None:
    done, _ = converted(tmp_path, ISSUER, CERTIFICATE)
    assert done.exit_code == 0
    for told in (
        "ClusterIssuer default/letsencrypt: apiVersion certmanager.k8s.io/v1alpha1 → cert-manager.io/v1",
        "the old protocol is switched off",
        "Certificate binder/binder-tls: spec.keySize → spec.privateKey.size",
        "ClusterIssuer default/letsencrypt: metadata.namespace left out",
    ):
        assert told in done.stderr.replace("\n", " ")


def test_a_hint_is_no_failure(tmp_path: Path) -> None:
    issuer = "apiVersion: certmanager.k8s.io/v1alpha1\nkind: Issuer\nmetadata: {name: i}\nspec: {acme: {http01: {}}}"
    done, documents = converted(tmp_path, issuer)
    assert (done.exit_code, list(documents)) == (0, ["Issuer"])
    assert "· Issuer i: name the ingress class" in done.stderr


def test_what_is_converted_already_stays(tmp_path: Path) -> None:
    done, documents = converted(tmp_path, CERTIFICATE)
    again, same = converted(tmp_path, done.stdout)
    assert (again.exit_code, same) == (1, {})
    assert documents["Certificate"]["apiVersion"] == "cert-manager.io/v1"
    assert "none of Issuer, ClusterIssuer, Certificate of an old version" in again.stderr.replace("\n", " ")


def test_what_cert_manager_makes_anew_is_left_out(tmp_path: Path) -> None:
    done, documents = converted(tmp_path, CERTIFICATE, OLD_CHALLENGE)
    assert (done.exit_code, list(documents)) == (0, ["Certificate"])
    assert "Challenge c: left out, cert-manager makes it anew" in done.stderr


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("apiVersion: certmanager.k8s.io/v1alpha1\nkind: Issuer\nmetadata: {name: i}\nspec: {acme: {}}", "no solver"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: s}", "Secret s: it is none of"),
        ("just words", ""),
        ("", ""),
    ],
    ids=["an issuer without solvers", "something else", "no object", "nothing"],
)
def test_what_it_cannot_do_is_said(tmp_path: Path, document: str, told: str) -> None:
    done, _ = converted(tmp_path, document)
    assert done.exit_code == 1
    assert told in done.stderr


def test_a_list_is_opened(tmp_path: Path) -> None:
    whole = {"apiVersion": "v1", "kind": "List", "items": [yaml.safe_load(ISSUER), yaml.safe_load(CERTIFICATE)]}
    done, documents = converted(tmp_path, yaml.safe_dump(whole))
    assert (done.exit_code, set(documents)) == (0, {"ClusterIssuer", "Certificate"})


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{a: [", None], ids=["no text", "no YAML", "no file"])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "old.yaml"
    if content is not None:
        path.write_bytes(content)
    done = CliRunner().invoke(app, ["convert", "issuer", str(path)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "cannot be read" in done.stderr
