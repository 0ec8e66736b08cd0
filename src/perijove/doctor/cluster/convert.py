"""Objects of cert-manager before 1.0 as `cert-manager.io/v1`. In: documents. Out: documents, and what was done. Pure.

Facts: cert-manager's upgrade notes 0.8 (solvers), 0.11 (API group, annotations), 0.16 and 1.0 (private keys, subject).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from perijove.domain.cluster import at, items, listed, mapping, text

NEW = "cert-manager.io/v1"
OLD_GROUP = "certmanager.k8s.io"
OLD = {f"{OLD_GROUP}/v1alpha1", *(f"cert-manager.io/{one}" for one in ("v1alpha2", "v1alpha3", "v1beta1"))}
KINDS = ("Issuer", "ClusterIssuer", "Certificate")
MADE_ANEW = ("CertificateRequest", "Order", "Challenge")
ACME_V1 = "https://acme-v01.api.letsencrypt.org/directory"
ACME_V2 = "https://acme-v02.api.letsencrypt.org/directory"
_OF_SERVER = (
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "selfLink",
    "managedFields",
    "ownerReferences",
)
_PROVIDERS = {"clouddns": "cloudDNS", "azuredns": "azureDNS", "acmedns": "acmeDNS"}
_ANNOTATIONS = {
    "acme-http01-edit-in-place": "acme.cert-manager.io/http01-edit-in-place",
    "acme-http01-ingress-class": "acme.cert-manager.io/http01-ingress-class",
}
_NO_MORE = {"acme-challenge-type", "acme-dns01-provider"}
_KEYS = {"keySize": "size", "keyAlgorithm": "algorithm", "keyEncoding": "encoding"}
_RENAMED = {"emailSANs": "emailAddresses", "uriSANs": "uris"}


@dataclass
class Converted:
    """What came of it."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """What has to be done by hand."""
    hints: list[str] = field(default_factory=list)
    """What may have to be looked at; without it all is converted too."""


def convert(documents: Iterable[Any]) -> Converted:
    """All Issuers, ClusterIssuers and Certificates of documents, lists opened; Ingresses' annotations as well."""
    done = Converted()
    objects = [one for document in documents for one in _opened(document)]
    old = [one for one in objects if text(one.get("apiVersion")) in OLD]
    configs = list(_solver_configs(one for one in old if one.get("kind") == "Certificate"))
    for one in objects:
        name = _said(one)
        if one in old and one.get("kind") in KINDS:
            done.documents.append(_converted(one, configs, done))
        elif one in old or _is_of(one, MADE_ANEW):
            done.changed.append(f"{name}: left out, cert-manager makes it anew")
        elif one.get("kind") == "Ingress" and _old_annotations(one):
            fresh = dict(one) | {"metadata": _metadata(one, name, done)}
            done.documents.append({key: value for key, value in fresh.items() if key != "status"})
        else:
            done.left.append(f"{name}: it is none of {', '.join(KINDS)} of an old version, and is left out")
    return done


def _opened(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict) and isinstance(document.get("items"), list):
        yield from (one for one in document["items"] if isinstance(one, dict))
    elif isinstance(document, dict):
        yield document


def _is_of(one: Mapping[str, Any], kinds: tuple[str, ...]) -> bool:
    return one.get("kind") in kinds and text(one.get("apiVersion")).rpartition("/")[0].endswith("cert-manager.io")


def _said(one: Mapping[str, Any]) -> str:
    namespace = text(at(one, "metadata", "namespace"))
    name = text(at(one, "metadata", "name")) or "(no name)"
    return f"{text(one.get('kind')) or 'document'} {namespace + '/' if namespace else ''}{name}"


def _converted(one: dict[str, Any], configs: list[_SolverConfig], done: Converted) -> dict[str, Any]:
    name = _said(one)
    done.changed.append(f"{name}: apiVersion {one['apiVersion']} → {NEW}")
    spec = dict(mapping(one.get("spec")))
    if one["kind"] == "Certificate":
        spec = _certificate(spec, name, done)
    elif isinstance(spec.get("acme"), dict):
        mine = [config for config in configs if config.is_for(one)]
        spec["acme"] = _acme(dict(spec["acme"]), mine, name, done)
    if "status" in one:
        done.changed.append(f"{name}: status left out")
    return {"apiVersion": NEW, "kind": one["kind"], "metadata": _metadata(one, name, done), "spec": spec}


# metadata


def _old_annotations(one: Mapping[str, Any]) -> bool:
    return any(str(key).startswith(f"{OLD_GROUP}/") for key in mapping(at(one, "metadata", "annotations")))


def _metadata(one: Mapping[str, Any], name: str, done: Converted) -> dict[str, Any]:
    metadata = {key: value for key, value in mapping(one.get("metadata")).items() if key not in _OF_SERVER}
    if one.get("kind") == "ClusterIssuer" and metadata.pop("namespace", None) is not None:
        done.changed.append(f"{name}: metadata.namespace left out: a ClusterIssuer has none")
    notes = metadata.get("annotations")
    if isinstance(notes, dict):
        fresh = dict(_annotations(notes, name, done))
        metadata["annotations"] = fresh
        if not fresh:
            del metadata["annotations"]
    return metadata


def _annotations(notes: dict[str, Any], name: str, done: Converted) -> Iterator[tuple[str, Any]]:
    for key, value in notes.items():
        group, _, word = str(key).partition("/")
        if key == "kubectl.kubernetes.io/last-applied-configuration":
            continue
        if group != OLD_GROUP:
            yield key, value
        elif word in _NO_MORE:
            done.left.append(f"{name}: annotation {key}: {value} has no successor; the issuer's solvers decide")
        else:
            fresh = _ANNOTATIONS.get(word, f"cert-manager.io/{word}")
            done.changed.append(f"{name}: annotation {key} → {fresh}")
            yield fresh, value


# issuers


@dataclass(frozen=True, slots=True)
class _SolverConfig:
    """How a Certificate wanted some of its names solved, which is the issuer's to say now."""

    certificate: str
    kind: str
    issuer: str
    namespace: str
    domains: tuple[str, ...]
    http01: Mapping[str, Any] | None
    provider: str

    def is_for(self, issuer: Mapping[str, Any]) -> bool:
        same = text(at(issuer, "metadata", "name")) == self.issuer and issuer.get("kind") == self.kind
        return same and (self.kind == "ClusterIssuer" or text(at(issuer, "metadata", "namespace")) == self.namespace)


def _solver_configs(certificates: Iterable[Mapping[str, Any]]) -> Iterator[_SolverConfig]:
    for one in certificates:
        reference = mapping(at(one, "spec", "issuerRef"))
        for row in listed(one, "spec", "acme", "config"):
            http01 = row.get("http01")
            yield _SolverConfig(
                _said(one), text(reference.get("kind")) or "Issuer", text(reference.get("name")),
                text(at(one, "metadata", "namespace")), tuple(text(name) for name in items(row.get("domains"))),
                mapping(http01) if http01 is not None else None, text(at(row, "dns01", "provider")),
            )  # fmt: skip


def _acme(acme: dict[str, Any], configs: list[_SolverConfig], name: str, done: Converted) -> dict[str, Any]:
    if acme.get("server") == ACME_V1:
        acme["server"] = ACME_V2
        done.changed.append(f"{name}: server {ACME_V1} → {ACME_V2}: the old protocol is switched off")
    http01, dns01 = acme.pop("http01", None), acme.pop("dns01", None)
    solvers = [_solver(dict(one), name, done) for one in listed(acme, "solvers")]
    providers = {text(one.get("name")): dict(one) for one in listed(dns01, "providers")}
    named = [solver for config in configs if (solver := _solver_of(config, providers, name, done)) is not None]
    if http01 is not None:
        ingress = {key: value for key, value in mapping(http01).items() if key == "serviceType"}
        kind = next(
            (
                config.http01.get("ingressClass")
                for config in configs
                if config.http01 and config.http01.get("ingressClass")
            ),
            None,
        )
        if kind:
            ingress["class"] = kind
        else:
            done.hints.append(f"{name}: name the ingress class of the http01 solver, if the cluster has several")
        solvers.append({"http01": {"ingress": ingress}})
        done.changed.append(f"{name}: spec.acme.http01 → spec.acme.solvers[].http01.ingress")
    if len(providers) == 1 and not any("dns01" in one for one in named) and not solvers:
        only = next(iter(providers.values()))
        solvers.append({"dns01": _provider(only, name, done)})
    unused = set(providers) - {config.provider for config in configs}
    if unused and not any("dns01" in one for one in solvers):
        done.left.append(
            f"{name}: dns01 provider {', '.join(sorted(unused))} is used by no Certificate here; write a solver"
        )
    if not solvers and not named:
        done.left.append(f"{name}: it has no solver; write one under spec.acme.solvers")
    return {**acme, "solvers": [*named, *solvers]}


def _solver_of(
    config: _SolverConfig, providers: dict[str, dict[str, Any]], name: str, done: Converted
) -> dict[str, Any] | None:
    """A solver for the names of one Certificate; None where the issuer's own is the same."""
    selector = {"selector": {"dnsNames": list(config.domains)}} if config.domains else {}
    if config.provider:
        if config.provider not in providers:
            done.left.append(f"{config.certificate}: dns01 provider {config.provider} is not in {name}")
            return None
        done.changed.append(
            f"{config.certificate}: spec.acme.config → a solver of {name} for {', '.join(config.domains)}"
        )
        return {**selector, "dns01": _provider(providers[config.provider], name, done)}
    if config.http01 is not None and config.http01.get("ingress"):
        done.changed.append(
            f"{config.certificate}: spec.acme.config → a solver of {name} for {', '.join(config.domains)}"
        )
        return {**selector, "http01": {"ingress": {"name": config.http01["ingress"]}}}
    return None


def _provider(one: dict[str, Any], name: str, done: Converted) -> dict[str, Any]:
    fresh = {_PROVIDERS.get(key, key): value for key, value in one.items() if key != "name"}
    done.changed.append(f"{name}: spec.acme.dns01.providers → spec.acme.solvers[].dns01 ({', '.join(fresh)})")
    return fresh


def _solver(one: dict[str, Any], name: str, done: Converted) -> dict[str, Any]:
    dns01 = one.get("dns01")
    if isinstance(dns01, dict):
        fresh = {_PROVIDERS.get(str(key), str(key)): value for key, value in dns01.items()}
        if fresh != dns01:
            done.changed.append(f"{name}: dns01 {', '.join(str(key) for key in dns01)} → {', '.join(fresh)}")
        one["dns01"] = fresh
    return one


# certificates


def _certificate(spec: dict[str, Any], name: str, done: Converted) -> dict[str, Any]:
    spec.pop("acme", None)
    moves: tuple[Callable[[dict[str, Any]], Iterator[str]], ...] = (_private_key, _subject, _names, _reference)
    for move in moves:
        done.changed += [f"{name}: {told}" for told in move(spec)]
    return spec


def _private_key(spec: dict[str, Any]) -> Iterator[str]:
    for old, new in _KEYS.items():
        if old in spec:
            value = spec.pop(old)
            key = spec.setdefault("privateKey", {})
            key[new] = value.upper() if isinstance(value, str) else value
            yield f"spec.{old} → spec.privateKey.{new}"


def _subject(spec: dict[str, Any]) -> Iterator[str]:
    if "organization" in spec:
        spec.setdefault("subject", {})["organizations"] = spec.pop("organization")
        yield "spec.organization → spec.subject.organizations"


def _names(spec: dict[str, Any]) -> Iterator[str]:
    for old, new in _RENAMED.items():
        if old in spec:
            spec[new] = spec.pop(old)
            yield f"spec.{old} → spec.{new}"


def _reference(spec: dict[str, Any]) -> Iterator[str]:
    reference = spec.get("issuerRef")
    if isinstance(reference, dict) and reference.get("group") in {None, "", OLD_GROUP}:
        spec["issuerRef"] = {**reference, "group": "cert-manager.io"}
        yield "spec.issuerRef.group → cert-manager.io"
