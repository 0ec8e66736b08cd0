"""What depends on what in a cluster, object by object: the only ways along which one fault can explain another.

In: a Cluster. Out: for an object, those that it cannot do without, each with whether that is written in an object or
was inferred from names. Objects are called as in findings: `Pod binderhub/hub-5f6c`; what is none has a name alike:
`Host binder.example`, `Registry docker.io`, `Servers binderhub` (users' pods there), `StorageClass` (the default one).
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from heapq import heappop, heappush
from urllib.parse import urlsplit

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.placement import candidates, claims
from perijove.doctor.cluster.view import Cluster, matches, selected
from perijove.domain.cluster import Thing, at, items, listed, mapping, text

Edge = tuple[str, bool]
"""What is needed, and whether that was inferred."""
CERT_MANAGER = "cert-manager"
KUBERNETES_API = "Kubernetes API"
"""What all ask, and what keeps its objects: no pod is said to need it, for everything would."""
NAMES = "Service kube-system/kube-dns"
NAME_SERVICE = "names"
"""That names resolve. It leads no further: what is slow for want of it does not follow from its servers' nodes."""
DEFAULT_CLASS = "StorageClass"
USES_NAMES = {"hub", "binder", "binderhub-build", "singleuser-server", "proxy", "build"}
READ_BY: dict[str, tuple[str, ...]] = {"hub": ("hub",), "proxy": ("hub",), "binder": ("binder-secret",)}
"""Secrets of JupyterHub's and BinderHub's charts that a component reads once, as it starts."""
CALLS = {"hub": ("proxy-api",), "proxy": ("hub",)}
"""Services of JupyterHub's chart that a component calls."""
OWNED_ON = {
    "Certificate": ("CertificateRequest",),
    "CertificateRequest": ("Order",),
    "Order": ("Challenge",),
    "Challenge": ("Ingress", "Pod", "Service"),
}
"""What cert-manager makes of what, by owner."""


class Graph:
    """The graph, followed only as far as somebody asks."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._things = {one.said: one for one in cluster.things if one.kind != "Event"}
        self._known: dict[str, tuple[Edge, ...]] = {}

    def reached(self, begin: Iterable[str]) -> dict[str, tuple[int, int]]:
        """All that these depend on, with how much of the way was inferred and how long it is, at the least."""
        best: dict[str, tuple[int, int]] = {}
        ahead = [(0, 0, name) for name in sorted(set(begin))]
        while ahead:
            inferred, length, name = heappop(ahead)
            if name in best:
                continue
            best[name] = (inferred, length)
            for needed, guessed in self.needs(name):
                if needed not in best:
                    heappush(ahead, (inferred + guessed, length + 1, needed))
        return best

    def needs(self, name: str) -> tuple[Edge, ...]:
        """What an object cannot do without."""
        if name not in self._known:
            self._known[name] = tuple(self._needs(name))
        return self._known[name]

    def _needs(self, name: str) -> Iterator[Edge]:
        thing = self._things.get(name)
        if thing is not None:
            find = self._by_kind.get(thing.kind)
            if find is not None:
                yield from find(thing)
            for kind, named in OWNED_ON.items():
                if thing.kind == kind:
                    yield from ((one.said, False) for one in self.cluster.owned(thing, *named))
                    yield CERT_MANAGER, False
        elif name == CERT_MANAGER:
            yield from ((one.said, False) for one in self.cluster.pods if pods.is_cert_manager(one))
        elif name == KUBERNETES_API:
            within = ("etcd", "kube-apiserver")
            yield from ((one.said, False) for one in self.cluster.pods if pods.component(one) in within)
        elif name.startswith("Host "):
            yield from self._host(name.removeprefix("Host "))
        elif name.startswith("Servers "):
            namespace = name.removeprefix("Servers ")
            here = (one for one in self.cluster.pods if pods.is_user(one) and namespace in {"", one.namespace})
            yield from ((one.said, False) for one in here)
        else:
            yield from self._log(name)

    @cached_property
    def _by_kind(self) -> dict[str, Callable[[Thing], Iterable[Edge]]]:
        return {
            "Pod": self._pod,
            "PersistentVolumeClaim": self._claim,
            "PersistentVolume": self._volume,
            "StorageClass": self._class,
            "Service": self._service,
            "Ingress": self._ingress,
            "IngressClass": self._controllers,
            "Secret": self._secret,
            "Certificate": self._certificate,
            "Challenge": self._challenge,
        }

    # pods

    def _pod(self, pod: Thing) -> Iterator[Edge]:
        node = text(pod.spec.get("nodeName"))
        if node:
            yield f"Node {node}", False
        else:
            yield from ((one.said, False) for one in candidates(pod, self.cluster.nodes))
            if pod.condition("PodScheduled") is None:
                yield from ((one.said, False) for one in self.cluster.pods if pods.schedules(one, pod))
            quotas = self.cluster.of("ResourceQuota")
            yield from ((one.said, False) for one in quotas if one.namespace == pod.namespace)
        yield from ((one.said, False) for one in claims(self.cluster, pod))
        for one in listed(pod.spec, "volumes"):
            server = text(at(one, "nfs", "server"))
            if server:
                yield f"NFS {server}", False
            for kind, key in (("Secret", at(one, "secret", "secretName")), ("ConfigMap", at(one, "configMap", "name"))):
                if key:
                    yield f"{kind} {pod.namespace}/{text(key)}", False
        yield from ((f"Registry {pods.registry(image)}", False) for image in pods.images(pod))
        policies = (one for one in self.cluster.of("NetworkPolicy") if one.namespace == pod.namespace)
        yield from ((one.said, False) for one in policies if selected(one.spec.get("podSelector"), [pod]))
        yield from self._of_component(pod)

    def _of_component(self, pod: Thing) -> Iterator[Edge]:
        component = pods.component(pod)
        namespace = pod.namespace
        yield from ((f"Secret {namespace}/{name}", False) for name in READ_BY.get(component, ()))
        yield from ((f"Service {namespace}/{name}", False) for name in CALLS.get(component, ()))
        if component in USES_NAMES:
            yield NAME_SERVICE, False
        if component == "binder":
            yield from self._hub(namespace)
        if pods.is_build(pod):
            builders = ("dind", "podman", "docker-dind")
            beside = (one for one in self.cluster.pods if pods.component(one) in builders)
            yield from ((one.said, False) for one in beside if one.spec.get("nodeName") == pod.spec.get("nodeName"))
        if component == "autohttps":
            kept = (one for one in self.cluster.of("Secret") if one.namespace == namespace and one.certificates)
            yield from ((f"Host {name}", False) for one in kept for leaf in one.certificates for name in leaf.names)

    def _hub(self, namespace: str) -> Iterator[Edge]:
        """What BinderHub calls: the address of its settings; the hub's Services where those were not seen."""
        told = self.cluster.settings()
        url = ""
        if told is not None and told[0].namespace == namespace:
            yield told[0].said, False
            settings = told[1]
            url = settings.get("config.BinderHub.hub_url_local") or settings.get("config.BinderHub.hub_url", "")
        host = urlsplit(url).hostname or "" if "//" in url else ""
        if host:
            yield f"Host {host}", False
        else:
            yield from ((f"Service {namespace}/{name}", True) for name in ("hub", "proxy-public", "proxy-http"))
            inside = (one for one in self.cluster.pods if one.namespace == namespace)
            yield from ((one.said, True) for one in inside if pods.component(one) in {"hub", "proxy"})

    def _log(self, name: str) -> Iterator[Edge]:
        """A log is of a process; where no pod of it was recorded, of one by that name."""
        log = next((one for one in self.cluster.all_logs if one.name == name), None)
        if log is None:
            return
        guessed = len(log.pods) > 1
        yield from ((one.said, guessed) for one in log.pods)
        if not log.pods and log.of in USES_NAMES:
            yield NAME_SERVICE, True
        if not log.pods and log.of == "binder":
            told = self.cluster.settings()
            namespace = told[0].namespace if told is not None else ""
            them = (one for one in self.cluster.pods if pods.component(one) in {"hub", "proxy"})
            yield from ((said, True) for said, _ in self._hub(namespace))
            yield from ((one.said, True) for one in them if namespace in {"", one.namespace})
            yield from ((one.name, True) for one in self.cluster.all_logs if one.of == "hub")

    # storage

    def _claim(self, claim: Thing) -> Iterator[Edge]:
        volume, name = text(claim.spec.get("volumeName")), claim.spec.get("storageClassName")
        if volume:
            yield f"PersistentVolume {volume}", False
        yield f"StorageClass {text(name)}" if name else DEFAULT_CLASS, False

    def _volume(self, volume: Thing) -> Iterator[Edge]:
        server = text(at(volume.spec, "nfs", "server"))
        if server:
            yield f"NFS {server}", False
        for term in listed(volume.spec, "nodeAffinity", "required", "nodeSelectorTerms"):
            for rule in listed(term, "matchExpressions"):
                if rule.get("key") == "kubernetes.io/hostname":
                    yield from ((f"Node {text(one)}", False) for one in items(rule.get("values")))

    def _class(self, one: Thing) -> Iterator[Edge]:
        made_by = text(one.raw.get("provisioner"))
        there = (pod for pod in self.cluster.pods if pods.provisions(pod, made_by))
        yield from ((pod.said, True) for pod in there)

    # the way in

    def _service(self, service: Thing) -> Iterator[Edge]:
        selector = mapping(service.spec.get("selector"))
        if selector:
            here = (one for one in self.cluster.pods if one.namespace == service.namespace)
            yield from ((one.said, False) for one in here if matches(selector, one.labels))

    def _ingress(self, ingress: Thing) -> Iterator[Edge]:
        named = ingress.spec.get("ingressClassName") or ingress.annotations.get("kubernetes.io/ingress.class")
        if named:
            yield f"IngressClass {text(named)}", False
        for rule in listed(ingress.spec, "rules"):
            for path in listed(rule, "http", "paths"):
                name = at(path, "backend", "service", "name") or at(path, "backend", "serviceName")
                yield f"Service {ingress.namespace}/{text(name)}", False
        for block in listed(ingress.spec, "tls"):
            name = f"{ingress.namespace}/{text(block.get('secretName'))}"
            yield f"Secret {name}", False
            if f"Secret {name}" not in self._things:
                writers = list(self._writers(ingress.namespace, text(block.get("secretName"))))
                yield from ((said, False) for said in writers)
                if not writers and any(key.startswith("cert-manager.io/") for key in ingress.annotations):
                    yield CERT_MANAGER, False

    def _controllers(self, one: Thing) -> Iterator[Edge]:
        there = [pod for pod in self.cluster.pods if pods.is_ingress_controller(pod)]
        yield from ((pod.said, True) for pod in there)
        spaces = {pod.namespace for pod in there}
        balanced = (one for one in self.cluster.of("Service") if one.spec.get("type") == "LoadBalancer")
        yield from ((one.said, True) for one in balanced if one.namespace in spaces)

    def _host(self, host: str) -> Iterator[Edge]:
        """Whatever answers at a name: a Service inside, an Ingress, the proxy of JupyterHub's chart."""
        inside = host.split(".")
        for service in self.cluster.of("Service"):
            if service.name == inside[0] and (len(inside) == 1 or inside[1] == service.namespace):
                yield service.said, False
                yield NAME_SERVICE, False
        for ingress in self.cluster.of("Ingress"):
            if any(text(rule.get("host")) == host for rule in listed(ingress.spec, "rules")):
                yield ingress.said, False
        for secret in self.cluster.of("Secret"):
            if any(leaf.is_for(host) for leaf in secret.certificates):
                yield secret.said, False

    # certificates

    def _writers(self, namespace: str, secret: str) -> Iterator[str]:
        for one in self.cluster.of("Certificate"):
            if one.namespace == namespace and text(one.spec.get("secretName")) == secret:
                yield one.said

    def _secret(self, secret: Thing) -> Iterator[Edge]:
        yield from ((said, False) for said in self._writers(secret.namespace, secret.name))
        for leaf in secret.certificates:
            if leaf.where.endswith(" acme.json"):
                yield from ((f"Host {name}", False) for name in leaf.names)
                them = (one for one in self.cluster.pods if one.namespace == secret.namespace)
                yield from ((one.said, False) for one in them if pods.component(one) == "autohttps")

    def _certificate(self, certificate: Thing) -> Iterator[Edge]:
        reference = mapping(certificate.spec.get("issuerRef"))
        kind, name = text(reference.get("kind")) or "Issuer", text(reference.get("name"))
        yield f"{kind} {name}" if kind == "ClusterIssuer" else f"{kind} {certificate.namespace}/{name}", False
        # What asks for it by an annotation says which issuer.
        yield from ((f"{kind} {certificate.namespace}/{name}", False) for kind, name in certificate.owners)

    def _challenge(self, challenge: Thing) -> Iterator[Edge]:
        yield f"Host {text(challenge.spec.get('dnsName'))}", False
