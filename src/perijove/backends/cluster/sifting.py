"""What is kept of what was read: of Secrets names, parsed certificates and a few settings, never a value. Pure.

In: objects, probes and PEM as they were read. Out: the domain's.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import yaml
from cryptography import x509

from perijove.domain.cluster import (
    DnsProbe,
    Hop,
    HttpProbe,
    Probe,
    SeenCertificate,
    Thing,
    TlsProbe,
    at,
    items,
    listed,
    mapping,
    moment,
    text,
)

SETTINGS = (
    "hub_url",
    "hub_url_local",
    "use_registry",
    "image_prefix",
    "per_repo_quota",
    "total_quota",
    "build_namespace",
)
"""Of `config.BinderHub`, in BinderHub's Secret `binder-secret`, key `values.yaml`; none of them is a secret."""
BESIDE = ("imageBuilderType", "service.type", "dind.enabled", "ingress.enabled")
"""Of the same file, outside `config`."""
LONGEST = 2000
"""Characters of any text that is kept of a probe or an annotation."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def things(documents: Iterable[Any]) -> Iterator[Thing]:
    """All objects of documents, lists opened."""
    for one in documents:
        if not isinstance(one, dict):
            continue
        inner = one.get("items")
        if isinstance(inner, list) and text(one.get("kind")).endswith("List"):
            # Of a list of one kind, its members need not say what they are.
            kind = text(one.get("kind")).removesuffix("List")
            for member in inner:
                if isinstance(member, dict):
                    if kind and "kind" not in member:
                        member = {"apiVersion": one.get("apiVersion"), "kind": kind, **member}  # noqa: PLW2901
                    yield thing(member)
        elif one.get("kind") and isinstance(one.get("metadata"), dict):
            yield thing(one)


def thing(raw: dict[str, Any]) -> Thing:
    """One object, sifted; the mapping given is changed."""
    metadata, fields = raw.get("metadata"), None
    if isinstance(metadata, dict):
        fields = metadata.pop("managedFields", None)
        if isinstance(metadata.get("annotations"), dict):
            metadata["annotations"].pop(_LAST_APPLIED, None)
    if raw.get("kind") == "Secret":
        return replace(_secret(raw), written=_written(fields))
    if raw.get("kind") == "ConfigMap":
        raw = {key: value for key, value in raw.items() if key not in {"data", "binaryData"}}
    for pod in (raw.get("spec"), at(raw, "spec", "template", "spec")):
        kinds = ("containers", "initContainers", "ephemeralContainers")
        for container in (one for kind in kinds for one in listed(pod, kind)):
            for variable in listed(container, "env"):
                if isinstance(variable, dict) and "value" in variable:
                    variable["value"] = ""
    return Thing(raw)


def _written(fields: Any) -> float:
    """When values were written last, by the list of who manages which fields."""
    of_values = (one for one in listed({"fields": fields}, "fields") if "f:data" in mapping(one.get("fieldsV1")))
    return max((moment(one.get("time")) for one in of_values), default=0)


def _secret(raw: Mapping[str, Any]) -> Thing:
    data = {text(key): _decoded(value) for key, value in mapping(raw.get("data")).items()}
    data |= {text(key): text(value).encode() for key, value in mapping(raw.get("stringData")).items()}
    kept = {
        "apiVersion": raw.get("apiVersion"),
        "kind": "Secret",
        "type": raw.get("type"),
        "metadata": raw.get("metadata"),
        "data": dict.fromkeys(data, ""),
    }
    said = Thing(kept).said
    found: list[SeenCertificate] = []
    if "tls.crt" in data:
        found.append(certificate(data["tls.crt"], f"{said} tls.crt"))
    if "acme.json" in data:
        found += _of_traefik(data["acme.json"], f"{said} acme.json")
    is_binder = text(at(raw, "metadata", "name")) == "binder-secret" and "values.yaml" in data
    return Thing(kept, tuple(found), _settings(data["values.yaml"]) if is_binder else {})


def _decoded(value: Any) -> bytes:
    try:
        return base64.b64decode(text(value), validate=False)
    except (binascii.Error, ValueError):
        return b""


def certificate(pem: bytes, where: str) -> SeenCertificate:
    """The leaf of a chain in PEM. What is no certificate says so in `problem`; none of its text is kept."""
    try:
        chain = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        return SeenCertificate(where, problem=_what_is_wrong(pem, error))
    leaf = chain[0]
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        told = tuple(str(name.value)[:253] for name in names)[:100]
    except (x509.ExtensionNotFound, ValueError):
        told = ()
    return SeenCertificate(
        where,
        told,
        leaf.subject.rfc4514_string()[:LONGEST],
        leaf.issuer.rfc4514_string()[:LONGEST],
        leaf.not_valid_before_utc.timestamp(),
        leaf.not_valid_after_utc.timestamp(),
        len(chain),
    )


def _what_is_wrong(pem: bytes, error: ValueError) -> str:
    begins, ends = pem.count(b"-----BEGIN CERTIFICATE-----"), pem.count(b"-----END CERTIFICATE-----")
    if not pem.strip():
        return "it is empty"
    if begins != ends or not begins:
        return f"it has {begins} BEGIN CERTIFICATE and {ends} END CERTIFICATE lines"
    return f"it is not PEM: {type(error).__name__}"


def _of_traefik(document: bytes, where: str) -> Iterator[SeenCertificate]:
    """Leaves of Traefik's acme.json, which autohttps keeps in a Secret: `RESOLVER.Certificates[].certificate`."""
    try:
        resolvers = json.loads(document)
    except ValueError:
        yield SeenCertificate(where, problem="it is not JSON")
        return
    for resolver in mapping(resolvers).values():
        for one in listed(resolver, "Certificates"):
            yield certificate(_decoded(one.get("certificate")), where)


def _settings(document: bytes) -> dict[str, str]:
    try:
        values = yaml.load(document, yaml.CSafeLoader)
    except yaml.YAMLError:
        return {}
    found = {f"config.BinderHub.{name}": at(values, "config", "BinderHub", name) for name in SETTINGS}
    found |= {name: at(values, *name.split(".")) for name in BESIDE}
    return {name: _without_password(text(value))[:LONGEST] for name, value in found.items() if value is not None}


def _without_password(url: str) -> str:
    scheme, middle, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if middle and "@" in rest.partition("/")[0] else url


def probes(document: Any) -> tuple[Probe, ...]:
    """The probes of a probes.json; those of a kind not known here are left out."""
    found: list[Probe] = []
    for one in listed(document, "probes"):
        make = _PROBES.get(text(one.get("kind")))
        if make is not None:
            found.append(make(one))
    return tuple(found)


def _http(one: Mapping[str, Any]) -> Probe:
    hops = tuple(
        Hop(
            hop["status"] if isinstance(hop.get("status"), int) else 0,
            text(hop.get("server"))[:LONGEST],
            text(hop.get("location"))[:LONGEST],
            text(hop.get("body"))[:LONGEST],
            text(hop.get("error"))[:LONGEST],
        )
        for hop in listed(one, "hops")
    )
    if not hops and one.get("error"):
        hops = (Hop(0, error=text(one.get("error"))[:LONGEST]),)
    return HttpProbe(text(one.get("url"))[:LONGEST], hops, text(one.get("host")), text(one.get("from")))


def _tls(one: Mapping[str, Any]) -> Probe:
    verify = text(one.get("verify") or one.get("error"))[:LONGEST]
    return TlsProbe(text(one.get("target")), text(one.get("sni")), verify, text(one.get("addr")), text(one.get("leaf")))


def _dns(one: Mapping[str, Any]) -> Probe:
    addresses = [tuple(text(address) for address in items(one.get(kind))) for kind in ("A", "AAAA")]
    return DnsProbe(text(one.get("name")), addresses[0], addresses[1], text(one.get("error"))[:LONGEST])


_PROBES: dict[str, Callable[[Mapping[str, Any]], Probe]] = {"http": _http, "tls": _tls, "dns": _dns}
