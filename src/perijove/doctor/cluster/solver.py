"""What keeps a challenge's solver from being asked, or from being set up? In: objects. Out: root causes. Pure.

Facts: cert-manager 1.18 pkg/issuer/acme/http (`acmeSolverListenPort`, the labels of what it makes), its documentation
of `--cluster-resource-namespace` (Secrets of a ClusterIssuer), Kubernetes' documentation of NetworkPolicy.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.telling import found, seen, those
from perijove.doctor.cluster.view import Cluster, selected
from perijove.domain import cluster_tls_failures as rows
from perijove.domain.cluster import Thing, at, items, listed, mapping, text
from perijove.domain.failures import Evidence, Kind
from perijove.domain.findings import Confidence, Finding

PORT = 8089
"""At which a solver's pod listens."""
FROM_OUTSIDE = {
    rows.ACME_HTTP01_SELFCHECK_503,
    rows.ACME_HTTP01_SELFCHECK_UNREACHABLE,
    rows.ACME_CHALLENGE_UNREACHABLE,
    rows.ACME_CHALLENGE_WRONG,
}
"""What a solver that the ingress controller cannot reach looks like."""
_NO_SECRET = re.compile(r'secrets? "(?P<name>[\w.-]+)" not found')
_BY_ADDRESS = re.compile(r"urn:ietf:params:acme:error:\w+: (?P<address>[0-9a-f]*:[0-9a-f:.]+): ", re.IGNORECASE)
"""Boulder begins with the address that it asked (va/va.go, detailedError)."""


def hindered(cluster: Cluster, challenge: Thing, kind: Kind, words: Sequence[Evidence]) -> Finding | None:
    """Why nobody reaches the solver, where objects say it."""
    if kind in {rows.ACME_HTTP01_SELFCHECK_404, rows.ACME_CHALLENGE_WRONG}:
        other = _of_other_class(cluster, challenge, words)
        if other is not None:
            return other
    return _behind_policies(cluster, challenge, words) if kind in FROM_OUTSIDE else None


def _behind_policies(cluster: Cluster, challenge: Thing, words: Sequence[Evidence]) -> Finding | None:
    for pod in cluster.owned(challenge, "Pod"):
        here = [one for one in cluster.of("NetworkPolicy") if one.namespace == pod.namespace]
        mine = [one for one in here if _of_ingress(one) and selected(one.spec.get("podSelector"), [pod])]
        if mine and not any(_lets_in(cluster, one) for one in mine):
            policy = {
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": "acme-solvers", "namespace": pod.namespace},
                "spec": {"podSelector": {"matchLabels": {"acme.cert-manager.io/http01-solver": "true"}},
                         "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": PORT}]}]},
            }  # fmt: skip
            return found(
                rows.NETWORK_POLICY_BLOCKS_SOLVER,
                f"{those(mine, 'selects', 'select')} {pod.said}, and none lets the controller to its port {PORT}",
                mine[0].said, Confidence.LIKELY, *words,
                *(seen(f"{one.said} spec.ingress", json.dumps(one.spec.get("ingress") or [])) for one in mine),
                seen(f"solver {pod.said}", "Ready" if pods.ready(pod) else f"not ready: {pods.phase(pod)}"),
                commands=(f"kubectl apply -f - <<'END'\n{json.dumps(policy)}\nEND",), about=(*mine, challenge),
            )  # fmt: skip
    return None


def _of_ingress(policy: Thing) -> bool:
    return "Ingress" in items(policy.spec.get("policyTypes")) or not policy.spec.get("policyTypes")


def _lets_in(cluster: Cluster, policy: Thing) -> bool:
    """Whether a rule may let the controller in; one by addresses or namespaces is believed to."""
    controllers = [one for one in cluster.pods if pods.is_ingress_controller(one) and one.namespace == policy.namespace]
    for rule in listed(policy.spec, "ingress"):
        ports = [one.get("port") for one in listed(rule, "ports")]
        # A named port may be the solver's.
        if ports and not any(not isinstance(one, int) or one == PORT for one in ports):
            continue
        peers = list(listed(rule, "from"))
        if not peers or any(
            "podSelector" not in one or "namespaceSelector" in one or selected(one["podSelector"], controllers)
            for one in peers
        ):
            return True
    return False


def _class_of(ingress: Thing) -> str:
    return text(ingress.spec.get("ingressClassName") or ingress.annotations.get("kubernetes.io/ingress.class"))


def _of_other_class(cluster: Cluster, challenge: Thing, words: Sequence[Evidence]) -> Finding | None:
    """The host's own Ingress is of one class, the solver's of another: each controller has an address of its own."""
    host = text(challenge.spec.get("dnsName"))
    solvers = [one for one in cluster.owned(challenge, "Ingress") if _class_of(one)]
    sites = [
        one
        for one in cluster.of("Ingress")
        if _class_of(one)
        and not any(kind == "Challenge" for kind, _ in one.owners)
        and any(text(rule.get("host")) == host for rule in listed(one.spec, "rules"))
    ]
    if not solvers or not sites or _class_of(solvers[0]) in {_class_of(one) for one in sites}:
        return None
    if cluster.get("IngressClass", "", _class_of(solvers[0])) is None:
        return None
    wrong, right = solvers[0], sites[0]
    issuers = [
        (one, number)
        for one in cluster.of("Issuer", "ClusterIssuer")
        for number, solver in enumerate(listed(one.spec, "acme", "solvers"))
        if _class_of(wrong) in {text(at(solver, "http01", "ingress", key)) for key in ("ingressClassName", "class")}
    ]
    return found(
        rows.SOLVER_OF_OTHER_CLASS,
        f"The challenge is answered by the class {_class_of(wrong)}, and {host} is served by {_class_of(right)}",
        wrong.said, Confidence.LIKELY, *words, seen(f"solver {wrong.said} ingress class", _class_of(wrong)),
        seen(f"{right.said} ingress class", _class_of(right)),
        *(seen(f"{one.said} spec.acme.solvers[{number}].http01.ingress", _class_of(wrong)) for one, number in issuers),
        commands=[_patched(one, number, _class_of(right)) for one, number in issuers], about=(wrong, challenge),
    )  # fmt: skip


def _patched(issuer: Thing, number: int, name: str) -> str:
    where = ["-n", issuer.namespace] if issuer.namespace else []
    path = f"/spec/acme/solvers/{number}/http01/ingress"
    value = [{"op": "replace", "path": path, "value": {"ingressClassName": name}}]
    resource = f"{issuer.kind.lower()}.cert-manager.io"
    return shlex.join(("kubectl", *where, "patch", resource, issuer.name, "--type", "json", "-p", json.dumps(value)))


def by_ipv6(cluster: Cluster, challenge: Thing, words: Sequence[Evidence]) -> Finding | None:
    """The CA came by an IPv6 address that none of the cluster's ways in has."""
    match = next((met for one in words if (met := _BY_ADDRESS.search(one.saw))), None)
    host = text(challenge.spec.get("dnsName"))
    if match is None:
        return None
    ways = [*cluster.of("Ingress"), *cluster.of("Service")]
    there = sorted(
        {text(row.get("ip")) for one in ways for row in listed(one.status, "loadBalancer", "ingress")} - {""}
    )
    if not there or any(":" in one and ip_address(one) == ip_address(match["address"]) for one in there):
        return None
    # Behind addresses that nobody outside has, something in front may hand IPv6 on as well.
    inside = any(_within_sites(one) for one in there)
    sure = Confidence.POSSIBLE if inside else Confidence.LIKELY
    return found(
        rows.ACME_IPV6_ELSEWHERE,
        f"The CA asked {match['address']} for {host}, and the cluster is reached by {', '.join(there)}",
        f"Host {host}", sure, *words,
        seen("status.loadBalancer of Ingresses and Services", ", ".join(there)),
        commands=(f"dig +short AAAA {host}   # remove the record, or have the ingress answer there",),
        about=(f"Host {host}", challenge),
    )  # fmt: skip


def _within_sites(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in ip_network(one) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))


def secret_elsewhere(cluster: Cluster, issuer: Thing | None, words: Evidence) -> Iterator[Finding]:
    """A Secret that an issuer needs, and that is in a namespace where cert-manager does not look for it."""
    match = _NO_SECRET.search(words.saw)
    if match is None or issuer is None:
        return
    name, space = match["name"], issuer.namespace
    if not space:
        space = next((one.namespace for one in cluster.pods if pods.is_cert_manager(one)), "cert-manager")
    there = [one for one in cluster.of("Secret") if one.name == name]
    if any(one.namespace == space for one in there):
        return
    copies = (
        f"kubectl -n {one.namespace} get secret {name} -o yaml | sed '/namespace:/d' | kubectl -n {space} apply -f -"
        for one in there[:1]
    )
    cause = f"{issuer.said} reads Secret {name} in {space}, and there is none"
    yield found(
        rows.ISSUER_SECRET_MISSING, f"{cause}; one of that name is in {there[0].namespace}" if there else cause,
        issuer.said, Confidence.CERTAIN if there or cluster.lacks("Secret") else Confidence.LIKELY, words,
        *(seen(one.said, "has that name") for one in there[:3]), commands=tuple(copies),
    )  # fmt: skip


_CREDENTIALS = re.compile(
    r"Invalid access token|Invalid request headers|Authentication error|Cloudflare token invalid|AccessDenied|"
    r"InvalidClientTokenId|SignatureDoesNotMatch|not authorized to perform|AuthorizationFailed|invalid_client|"
    r"StatusCode: 40[13]|\b40[13]:? (?:Unauthorized|Forbidden)|(?<!connection )REFUSED|NOTAUTH|bad (?:time|sig)",
    re.IGNORECASE,
)
"""Of Cloudflare (cert-manager#3013), Route 53 (#4061, #1929), Azure (#1903) and RFC 2136 servers."""


def credentials_refused(cluster: Cluster, challenge: Thing, words: Sequence[Evidence]) -> Iterator[Finding]:
    """Credentials of a DNS-01 solver that its provider does not take."""
    if challenge.spec.get("type") != "DNS-01" or not any(_CREDENTIALS.search(one.saw) for one in words):
        return
    reference = mapping(challenge.spec.get("issuerRef"))
    space = challenge.namespace
    if reference.get("kind") == "ClusterIssuer":
        space = next((one.namespace for one in cluster.pods if pods.is_cert_manager(one)), "cert-manager")
    provider, named = _secrets(challenge)
    secrets = [f"Secret {space}/{name}" for name, _ in named]
    renewed = (
        f'read -rsp \'what is new: \' NEW; printf \'{{"stringData":{{"{key}":"%s"}}}}\' "$NEW" | '
        f"kubectl -n {space} patch secret {name} --patch-file /dev/stdin   # cert-manager tries again by itself"
        for name, key in named
    )
    by = f", by {' and '.join(secrets)}" if secrets else ""
    yield found(
        rows.DNS_CREDENTIALS_REFUSED,
        f"{provider} refuses what cert-manager wants to write for {text(challenge.spec.get('dnsName'))}{by}",
        challenge.said, Confidence.CERTAIN, *words,
        *(seen(f"{challenge.said} spec.solver.dns01.{provider}", one) for one in secrets), commands=list(renewed),
        about=(challenge, *secrets),
    )  # fmt: skip


def _secrets(challenge: Thing) -> tuple[str, list[tuple[str, str]]]:
    """The provider of a solver, and which keys of which Secrets it reads."""
    dns = mapping(at(challenge.spec, "solver", "dns01"))
    provider = next((key for key in dns if key != "cnameStrategy"), "the DNS provider")
    references = (one for key, one in mapping(dns.get(provider)).items() if key.endswith("SecretRef"))
    return provider, [(text(one.get("name")), text(one.get("key"))) for one in map(mapping, references)]
