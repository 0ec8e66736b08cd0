"""Is the right certificate served, and will it be tomorrow? From Ingresses, Secrets and handshakes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from perijove.doctor.cluster.autohttps import keepers
from perijove.doctor.cluster.front import blocked_in_front
from perijove.doctor.cluster.issuing import CURRENT, PATIENCE, unready
from perijove.doctor.cluster.telling import found, seen, span
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_tls_failures as rows
from perijove.domain.cluster import SeenCertificate, Thing, TlsProbe, day, items, listed, mapping, moment, text
from perijove.domain.failures import Evidence
from perijove.domain.findings import Confidence, Finding

OVERDUE = 86400.0
"""Seconds after its time when a renewal that has not come is told."""
SOON = 21 * 86400.0
"""Seconds before its end when a certificate of three months should have been replaced: that is due at 30 days."""
Issuing = Mapping[str, list[Finding]]
FAKE = "Kubernetes Ingress Controller Fake Certificate"


def wrong(cluster: Cluster, issuing: Issuing) -> Iterator[Finding]:
    """Faults of what Ingresses serve. `issuing`: why certificates are not issued."""
    for ingress in cluster.of("Ingress"):
        if not is_solver(ingress):
            for number, block in enumerate(listed(ingress.spec, "tls")):
                name = text(block.get("secretName"))
                names = [text(one) for one in items(block.get("hosts"))]
                where = f"{ingress.said} spec.tls[{number}].secretName {name}"
                if name:
                    yield from _of_secret(cluster, ingress, where, names, issuing)


def is_solver(ingress: Thing) -> bool:
    """Whether cert-manager made it for a challenge."""
    return ingress.name.startswith("cm-acme-http-solver") or "acme.cert-manager.io/http01-solver" in ingress.labels


def _of_secret(cluster: Cluster, ingress: Thing, where: str, names: list[str], issuing: Issuing) -> Iterator[Finding]:
    name = where.rpartition(" ")[2]
    secret = cluster.get("Secret", ingress.namespace, name)
    if secret is None:
        yield from _no_secret(cluster, ingress, where, names, issuing)
        return
    yield from _keyless(cluster, ingress, where, secret)
    for one in secret.certificates:
        if one.problem:
            cause = f"{one.where}, which {ingress.said} serves, cannot be read: {one.problem}"
            yield found(
                rows.SECRET_BROKEN, cause, secret.said, Confidence.CERTAIN, seen(one.where, one.problem),
                seen(where, "is that Secret"),
            )  # fmt: skip
            return
        unnamed = [host for host in names if host and not one.is_for(host)]
        fresh = _of_ingress(cluster, ingress, name)
        if unnamed and (fresh is None or not unready(fresh)):
            yield found(
                rows.CERTIFICATE_NOT_FOR_HOST, f"{one.where} is not for {', '.join(unnamed)}", secret.said,
                Confidence.CERTAIN, seen(one.where, f"names: {', '.join(one.names)}"),
                seen(where, f"hosts: {', '.join(names)}"),
            )  # fmt: skip


def _keyless(cluster: Cluster, ingress: Thing, where: str, secret: Thing) -> Iterator[Finding]:
    """A Secret without the two keys that controllers read (Kubernetes' documentation, `TLS Secrets`)."""
    keys = sorted(mapping(secret.raw.get("data")))
    missing = [key for key in ("tls.crt", "tls.key") if key not in keys]
    if not keys or not missing or _of_ingress(cluster, ingress, secret.name) is not None:
        return
    chains = [key for key in keys if "key" not in key and key.endswith((".pem", ".crt", ".cer"))]
    private = [key for key in keys if "key" in key]
    of = f"kubectl -n {secret.namespace}"
    if len(chains) == len(private) == 1:
        data = f'"tls.crt": .data["{chains[0]}"], "tls.key": .data["{private[0]}"]'
        about = "metadata: {name: .metadata.name, namespace: .metadata.namespace}"
        made = f"jq '{{apiVersion, kind, type: \"kubernetes.io/tls\", {about}, data: {{{data}}}}}'"
        renamed = f"{of} get secret {secret.name} -o json | {made} | kubectl replace --force -f -"
    else:
        made = "--cert=fullchain.pem --key=privkey.pem --dry-run=client -o yaml | kubectl replace --force -f -"
        renamed = f"{of} create secret tls {secret.name} {made}"
    stands = f"{', '.join(keys)} (type {text(secret.raw.get('type'))})"
    yield found(
        rows.SECRET_BROKEN, f"{secret.said}, which {ingress.said} serves, has no {' and no '.join(missing)}",
        secret.said, Confidence.CERTAIN, seen(f"{secret.said} keys", stands),
        seen(where, "is that Secret: the controller serves its own certificate instead"), commands=(renamed,),
        about=(secret, ingress),
    )  # fmt: skip


def _of_ingress(cluster: Cluster, ingress: Thing, name: str) -> Thing | None:
    """cert-manager's Certificate for a Secret."""
    for one in cluster.of("Certificate"):
        if one.namespace == ingress.namespace and text(one.spec.get("secretName")) == name:
            return one
    return None


def _no_secret(cluster: Cluster, ingress: Thing, where: str, names: list[str], issuing: Issuing) -> Iterator[Finding]:
    name = where.rpartition(" ")[2]
    certificate = _of_ingress(cluster, ingress, name)
    ready = certificate.condition("Ready") if certificate is not None else None
    says = ready is not None and ready.reason == "DoesNotExist"
    served = [one for one in cluster.recording.served.values() if FAKE in one.subject and _handed(cluster, one, names)]
    if not says and not served and not cluster.lacks("Secret"):
        return
    elsewhere = [one for one in cluster.of("Secret") if one.name == name and one.namespace != ingress.namespace]
    evidence = [seen(where, "has no Secret: the controller serves its fake certificate (ingress.local)")]
    if certificate is not None and ready is not None:
        evidence.append(seen(f"{certificate.said} status.conditions Ready", f"{ready.reason}: {ready.message}"))
    evidence += [seen(one.where, f"subject {one.subject}, served for {', '.join(names)}") for one in served]
    because = _why(certificate, issuing)
    if because is None and not served and _under_way(cluster, ingress, certificate):
        return
    if elsewhere and because is None:
        commands = (
            f"kubectl -n {elsewhere[0].namespace} get secret {name} -o yaml | sed '/namespace:/d' | "
            f"kubectl -n {ingress.namespace} apply -f -",
        )
        cause = f"{ingress.said} looks for {name} in {ingress.namespace}, and it is in {elsewhere[0].namespace}"
        root = found(
            rows.SECRET_IN_OTHER_NAMESPACE, cause, elsewhere[0].said, Confidence.LIKELY, *evidence,
            seen(elsewhere[0].said, "has that name"), commands=commands,
        )  # fmt: skip
        yield root
        because = root
    sure = Confidence.CERTAIN if says or served else Confidence.LIKELY
    cause = f"{', '.join(names) or ingress.name} has no certificate of its own"
    one = found(rows.FAKE_CERTIFICATE, cause, ingress.said, sure, *evidence)
    yield replace(one, because=because.code, because_of=because.subject) if because is not None else one


def _under_way(cluster: Cluster, ingress: Thing, certificate: Thing | None) -> bool:
    """Whether it was asked for a moment ago."""
    asked = certificate.condition("Issuing") if certificate is not None else None
    begun = asked.at if asked is not None and asked.status == "True" else 0
    return 0 < cluster.age(max(begun, ingress.created)) < PATIENCE


def _handed(cluster: Cluster, certificate: SeenCertificate, names: list[str]) -> bool:
    """Whether a handshake for one of the names was given it."""
    probes = [one for one in cluster.probes if isinstance(one, TlsProbe)]
    return any(one.leaf == certificate.where and one.sni in names for one in probes)


def _why(certificate: Thing | None, issuing: Issuing) -> Finding | None:
    """The finding that says why it is not issued: the verdict, which has a root of its own."""
    mine = issuing.get(certificate.said) if certificate is not None else None
    return mine[-1] if mine else None


def ageing(cluster: Cluster, issuing: Issuing) -> Iterator[Finding]:
    """Certificates that have ended, or should have been replaced by now."""
    for certificate in cluster.of("Certificate"):
        yield from _of_manager(cluster, certificate, issuing)
    for one in _kept_by_hand(cluster):
        yield from _ends(cluster, one, None)
    for one in keepers(cluster):
        yield from _ends(cluster, one, _root(cluster, one))


def _root(cluster: Cluster, certificate: SeenCertificate) -> Finding | None:
    """Why autohttps could not renew it, where the front shows it."""
    namespace = certificate.where.removeprefix("Secret ").partition("/")[0]
    again = (f"kubectl -n {namespace} delete pod -l component=autohttps   # ask for the certificate now",)
    evidence = [_validity(certificate)]
    for host in certificate.names:
        told = blocked_in_front(cluster, host, evidence, again, failed=False)
        if told is not None:
            return told
    return None


def _validity(certificate: SeenCertificate) -> Evidence:
    about = f"notAfter {day(certificate.not_after)}, for {', '.join(certificate.names)}"
    return seen(certificate.where, about)


def _kept_by_hand(cluster: Cluster) -> Iterator[SeenCertificate]:
    """What Ingresses serve and cert-manager does not renew."""
    done: set[str] = set()
    for ingress in cluster.of("Ingress"):
        for block in listed(ingress.spec, "tls"):
            name = text(block.get("secretName"))
            secret = cluster.get("Secret", ingress.namespace, name)
            if secret is None or secret.said in done or _of_ingress(cluster, ingress, name) is not None:
                continue
            done.add(secret.said)
            yield from (one for one in secret.certificates if not one.problem)


def _of_manager(cluster: Cluster, certificate: Thing, issuing: Issuing) -> Iterator[Finding]:
    end = moment(certificate.status.get("notAfter"))
    secret = cluster.get("Secret", certificate.namespace, text(certificate.spec.get("secretName")))
    kept = next((one for one in secret.certificates if not one.problem), None) if secret is not None else None
    end = kept.not_after if kept is not None else end
    if not end or certificate.group != CURRENT:
        return
    because = _why(certificate, issuing)
    due = moment(certificate.status.get("renewalTime")) or end - 30 * 86400
    where = kept.where if kept is not None else f"{certificate.said} status.notAfter"
    evidence = [seen(where, f"notAfter {day(end)}"), seen(f"{certificate.said} status.renewalTime", day(due))]
    if end < cluster.now:
        row, cause = rows.CERTIFICATE_EXPIRED, f"It ended {span(cluster.now - end)} ago"
    elif due + OVERDUE < cluster.now:
        row, cause = rows.CERTIFICATE_NOT_RENEWED, _late(cluster, end, due)
    else:
        return
    told = found(
        row, cause, certificate.said, Confidence.CERTAIN, *evidence, foreseen=end >= cluster.now,
        commands=(f"cmctl status certificate -n {certificate.namespace} {certificate.name}",),
    )  # fmt: skip
    yield replace(told, because=because.code, because_of=because.subject) if because is not None else told


def _late(cluster: Cluster, end: float, due: float) -> str:
    return f"It should have been renewed {span(cluster.now - due)} ago, and ends in {span(end - cluster.now)}"


def _ends(cluster: Cluster, one: SeenCertificate, root: Finding | None) -> Iterator[Finding]:
    lasts = one.not_after - one.not_before
    left = one.not_after - cluster.now
    if left < 0:
        row, cause = rows.CERTIFICATE_EXPIRED, f"{one.where} ended {span(-left)} ago"
    elif left < min(SOON, lasts / 4):
        row, cause = rows.CERTIFICATE_NOT_RENEWED, f"{one.where} ends in {span(left)}, and nobody has renewed it"
    else:
        return
    if root is not None:
        yield root
    told = found(
        row, cause, one.where.rpartition(" ")[0], Confidence.CERTAIN, _validity(one), foreseen=left >= 0,
        surer_with="" if root else "probes.json with the challenge's path asked by the public name, front/, logs/",
    )  # fmt: skip
    yield replace(told, because=root.code, because_of=root.subject) if root is not None else told
