"""Why is a certificate not issued? From the Certificate down: request, order, challenge, issuer. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from perijove.doctor.cluster import acme_words, solver
from perijove.doctor.cluster.challenges import of_challenges
from perijove.doctor.cluster.telling import change, found, seen, span
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_tls_failures as rows
from perijove.domain.cluster import Condition, Thing, at, items, mapping, text
from perijove.domain.failures import Evidence, Kind
from perijove.domain.findings import Change, Confidence, Finding

PATIENCE = 600.0
"""Seconds that issuing may take before anything is said about it."""
CURRENT = "cert-manager.io"
LEGACY = "certmanager.k8s.io"
CONFIG_TOO = "# and the same in config.yaml, or helm puts it back"


def not_issued(cluster: Cluster) -> dict[str, list[Finding]]:
    """Why certificates are not issued, by the Certificate; by `` what challenges say that belong to none."""
    done: set[tuple[str, str, str]] = set()
    faults: set[tuple[str, str]] = set()
    told: dict[str, list[Finding]] = {}
    for certificate in cluster.of("Certificate"):
        if certificate.group in {CURRENT, LEGACY} and unready(certificate):
            mine = list(_of_certificate(cluster, certificate, done, faults))
            told[certificate.said] = mine or list(_unexplained(cluster, certificate))
    left = [one for one in cluster.of("Challenge") if (one.kind, one.namespace, one.name) not in done]
    told[""] = list(of_challenges(cluster, left, faults))
    return told


def _unexplained(cluster: Cluster, certificate: Thing) -> Iterator[Finding]:
    ready = certificate.condition("Ready")
    since = cluster.age((ready.at if ready is not None else 0) or certificate.created)
    # One that is Ready is issued: that its renewal does not come is told by its own time.
    if since > PATIENCE and (ready is None or ready.status != "True"):
        yield found(
            rows.CERTIFICATE_NOT_ISSUED,
            f"It has not been issued for {span(since)}",
            certificate.said,
            Confidence.POSSIBLE,
            seen(f"{certificate.said} status.conditions", _conditions(certificate)),
            surer_with="kubectl get certificaterequests,orders,challenges,events -A -o yaml",
        )


def unready(certificate: Thing) -> bool:
    """Whether it is not issued, or is being issued anew and that failed."""
    ready, issuing = certificate.condition("Ready"), certificate.condition("Issuing")
    fails = issuing is not None and (issuing.status == "True" or issuing.reason == "Failed")
    return ready is None or ready.status != "True" or fails


def _conditions(thing: Thing) -> str:
    told = [thing.condition(kind) for kind in ("Ready", "Issuing", "Approved", "Denied")]
    return "; ".join(_said(one) for one in told if one is not None) or "none"


def _said(condition: Condition) -> str:
    return f"{condition.type} {condition.status} {condition.reason}: {condition.message}"


def hosts(certificate: Thing) -> tuple[str, ...]:
    """The names that are asked for."""
    return tuple(text(one) for one in items(certificate.spec.get("dnsNames")))


def _of_certificate(
    cluster: Cluster, certificate: Thing, done: set[tuple[str, str, str]], faults: set[tuple[str, str]]
) -> Iterator[Finding]:
    requests = cluster.owned(certificate, "CertificateRequest")
    # Only the newest attempt tells how it stands now.
    request = requests[-1] if requests else None
    missing = _no_issuer(cluster, certificate, request)
    if missing:
        yield from missing
        return
    orders = cluster.owned(request or certificate, "Order")
    order = orders[-1] if orders else None
    challenges = cluster.owned(order, "Challenge") if order is not None else []
    done |= {(one.kind, one.namespace, one.name) for one in challenges}
    told = list(of_challenges(cluster, challenges, faults))
    yield from told
    if not told:
        yield from _refused(cluster, certificate, request, order)


def _refused(cluster: Cluster, certificate: Thing, request: Thing | None, order: Thing | None) -> Iterator[Finding]:
    """What the CA said to the order, wherever that still stands."""
    places = [(f"{one.said} status.reason", text(one.status.get("reason")), one) for one in (order,) if one is not None]
    for thing in (request, certificate):
        for kind in ("Ready", "Issuing"):
            condition = thing.condition(kind) if thing is not None else None
            if thing is not None and condition is not None:
                places.append((f"{thing.said} status.conditions {kind}", condition.message, thing))
    for where, words, thing in places:
        meaning = acme_words.of_order(words, cluster.now) if words else None
        if meaning is None:
            continue
        over = acme_words.is_over(acme_words.retry_after(words), cluster.now)
        state = text(thing.status.get("state"))
        evidence = [seen(where, words)]
        if state:
            evidence.insert(0, seen(f"{thing.said} status.state", state))
        if meaning.root is not None:
            yield _limit(meaning, thing, words, evidence)
        yield found(
            meaning.kind, meaning.cause, thing.said, Confidence.CERTAIN, *evidence, because=meaning.root,
            commands=_again(certificate, over=over) if meaning.root is None else (),
            remedy="The CA may be asked again." if over else "",
        )  # fmt: skip
        return


def _limit(meaning: acme_words.Meaning, thing: Thing, words: str, evidence: list[Evidence]) -> Finding:
    until = acme_words.retry_after(words)
    assert meaning.root is not None
    if meaning.root is rows.DUPLICATE_CERTIFICATE_LIMIT:
        end = f"; that ends at {until}" if until else "; that ends when the oldest of them is a week old"
        cause = f"This exact set of names was certified as often as a week allows{end}"
        commands: tuple[str, ...] = (
            f"kubectl -n {thing.namespace} apply -f backup-of-the-secret.yaml"
            "   # from `kubectl get secret NAME -o yaml`, taken before every removal",
            "# or add one more name to the Ingress's tls.hosts: another set of names has a counter of its own",
            f"# or wait until {until or 'the CA takes orders again'}",
            "# while testing, use the issuer of the staging directory: "
            "https://acme-staging-v02.api.letsencrypt.org/directory",
        )
    else:
        end = f" until {until}" if until else " for about an hour"
        cause = (
            f"Validations of the name failed too often, so the CA takes no order{end}; their cause is still to be found"
        )
        commands = (
            "kubectl get challenges -A   # find why they fail, and repair that first",
            f"# then wait{end}; cert-manager tries again by itself",
        )
    return found(meaning.root, cause, thing.said, Confidence.CERTAIN, *evidence, commands=commands)


def _again(certificate: Thing, *, over: bool) -> tuple[str, ...]:
    done = "renew" if over else "status certificate"
    return (f"cmctl {done} -n {certificate.namespace} {certificate.name}",)


# issuers


def _no_issuer(cluster: Cluster, certificate: Thing, request: Thing | None) -> list[Finding]:
    """What is wrong with the issuer itself."""
    reference = mapping(certificate.spec.get("issuerRef"))
    kind, name = text(reference.get("kind")) or "Issuer", text(reference.get("name"))
    namespace = "" if kind == "ClusterIssuer" else certificate.namespace
    issuer = cluster.get(kind, namespace, name)
    if issuer is not None:
        return list(_not_ready(cluster, issuer))
    words = _not_found_words(cluster, certificate, request)
    if not words and not cluster.lacks(kind):
        return []
    sure = Confidence.CERTAIN if words else Confidence.LIKELY
    place = f"in namespace {namespace}" if namespace else "in the cluster"
    absent = seen(f"{kind} {name}", f"there is none {place}")
    root, evidence, changes, commands = _other_issuer(cluster, certificate, kind, name)
    verdict = found(
        rows.ISSUER_NOT_FOUND, f"{certificate.said} asks {kind} {name}, and there is none {place}", certificate.said,
        sure, *words, absent, because=root,
    )  # fmt: skip
    if root is None:
        return [verdict]
    cause = f"{evidence[0].where.partition(' metadata')[0]} asks for {kind} {name}, and there is {evidence[1].where}"
    asks = evidence[0].where.partition(" metadata")[0]
    told = found(root, cause, asks, sure, *evidence, absent, commands=commands, changes=changes)
    return [told, verdict]


def _not_found_words(cluster: Cluster, certificate: Thing, request: Thing | None) -> list[Evidence]:
    told: list[Evidence] = []
    for thing in (request, certificate):
        if thing is None:
            continue
        for kind in ("Ready", "Issuing"):
            condition = thing.condition(kind)
            if condition is not None and _says_missing(condition.message):
                told.append(seen(f"{thing.said} status.conditions {kind}", condition.message))
        # Of type Normal, so nobody may look for warnings alone.
        told += [seen(one.where, one.message) for one in cluster.events(thing, "IssuerNotFound")[:1]]
    return told


def _says_missing(words: str) -> bool:
    return "not found" in words and "ssuer" in words


def _other_issuer(
    cluster: Cluster, certificate: Thing, kind: str, name: str
) -> tuple[Kind | None, tuple[Evidence, ...], tuple[Change, ...], tuple[str, ...]]:
    """An issuer of the same name that is not the one that is asked for, and how to ask for it."""
    other = "ClusterIssuer" if kind == "Issuer" else "Issuer"
    namespace = "" if other == "ClusterIssuer" else certificate.namespace
    stands = cluster.get(other, namespace, name)
    asks, said = _asking(cluster, certificate)
    if stands is not None:
        ready = stands.condition("Ready")
        how = "exists and is Ready" if ready is not None and ready.status == "True" else "exists, and is not Ready"
        row = (
            rows.ANNOTATION_SAYS_ISSUER_OBJECT_IS_CLUSTERISSUER
            if other == "ClusterIssuer"
            else rows.ANNOTATION_SAYS_CLUSTERISSUER_OBJECT_IS_ISSUER
        )
        return row, (said, seen(stands.said, how)), (_corrected(asks, certificate, other, name),), (CONFIG_TOO,)
    if kind == "Issuer":
        for one in cluster.of("Issuer"):
            if one.name == name:
                commands = (f"kubectl -n {one.namespace} get issuer {name} -o yaml   # make it a ClusterIssuer",)
                return rows.ISSUER_IN_OTHER_NAMESPACE, (said, seen(one.said, "exists there")), (), commands
    return None, (), (), ()


def _asking(cluster: Cluster, certificate: Thing) -> tuple[Thing | None, Evidence]:
    """The Ingress that asks for the issuer by an annotation, or the certificate that does by itself."""
    for kind, name in certificate.owners:
        ingress = cluster.get(kind, certificate.namespace, name) if kind == "Ingress" else None
        if ingress is None:
            continue
        for key in (f"{group}/{word}" for group in (CURRENT, LEGACY) for word in ("issuer", "cluster-issuer")):
            if key in ingress.annotations:
                value = f"{key}: {text(ingress.annotations[key])}"
                return ingress, seen(f"{ingress.said} metadata.annotations", value)
    reference = mapping(certificate.spec.get("issuerRef"))
    value = f"kind: {text(reference.get('kind')) or 'Issuer'}, name: {text(reference.get('name'))}"
    return None, seen(f"{certificate.said} spec.issuerRef", value)


def _corrected(ingress: Thing | None, certificate: Thing, other: str, name: str) -> Change:
    right = "cluster-issuer" if other == "ClusterIssuer" else "issuer"
    wrong = "issuer" if right == "cluster-issuer" else "cluster-issuer"
    if ingress is None:
        return change(certificate, {"spec": {"issuerRef": {"kind": other}}})
    return change(ingress, {"metadata": {"annotations": {f"{CURRENT}/{wrong}": None, f"{CURRENT}/{right}": name}}})


def _not_ready(cluster: Cluster, issuer: Thing) -> Iterator[Finding]:
    ready = issuer.condition("Ready")
    if ready is None or ready.status == "True":
        return
    server = text(at(issuer.spec, "acme", "server"))
    says = seen(f"{issuer.said} status.conditions Ready", f"{ready.status} {ready.reason}: {ready.message}")
    root = next(solver.secret_elsewhere(cluster, issuer, says), None)
    yield from () if root is None else (root,)
    yield found(
        rows.ISSUER_NOT_READY, f"{issuer.said} says: {ready.reason}", issuer.said, Confidence.CERTAIN, says,
        *([seen(f"{issuer.said} spec.acme.server", server)] if server else []),
        because=root.failure.kind if root is not None else None,
        commands=(f"kubectl describe {issuer.kind.lower()} {issuer.name}",),
    )  # fmt: skip
