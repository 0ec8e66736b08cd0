"""A healthy BinderHub in memory, object by object, for tests that break one thing. Now is 2026-03-10T09:00:00Z."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from perijove.backends.cluster import sifting
from perijove.doctor.cluster.diagnosis import diagnosed
from perijove.doctor.engine import Examination, Told
from perijove.domain.cluster import Recording, day, moment

Json = dict[str, Any]
NOW = moment("2026-03-10T09:00:00Z")
NAMESPACE = "binderhub"
HOST = "binder.example"
HUB = "hub.binder.example"
GI = 1024**3
DAY = 86400.0
KEY = ec.generate_private_key(ec.SECP256R1())


def ago(seconds: float) -> str:
    return day(NOW - seconds)


def b64(content: bytes | str) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


def pem(*names: str, ends: float = 60 * DAY, begins: float = 30 * DAY, subject: str = "") -> bytes:
    """A certificate that ends so many seconds from now, and began so many ago."""
    now = datetime.fromtimestamp(NOW, UTC)
    subjected = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject or names[0])])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "R10")])
    built = (
        x509.CertificateBuilder()
        .subject_name(subjected)
        .issuer_name(issuer)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(seconds=begins))
        .not_valid_after(now + timedelta(seconds=ends))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(KEY, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


def thing(kind: str, name: str, spec: Json | None = None, status: Json | None = None, **more: Any) -> Json:
    """An object; `api`, `namespace`, `labels`, `annotations`, `owners`, `age` are of its metadata."""
    metadata: Json = {"name": name, "uid": f"{kind}-{name}", "creationTimestamp": ago(more.pop("age", 30 * DAY))}
    namespace = more.pop("namespace", NAMESPACE)
    if namespace:
        metadata["namespace"] = namespace
    for key in ("labels", "annotations", "deletionTimestamp", "finalizers"):
        if key in more:
            metadata[key] = more.pop(key)
    if "owner" in more:
        kind_of, _, name_of = more.pop("owner").partition("/")
        metadata["ownerReferences"] = [{"kind": kind_of, "name": name_of, "uid": f"{kind_of}-{name_of}"}]
    built: Json = {"apiVersion": more.pop("api", "v1"), "kind": kind, "metadata": metadata}
    if spec is not None:
        built["spec"] = spec
    if status is not None:
        built["status"] = status
    return built | more


def condition(kind: str, status: str = "True", reason: str = "", message: str = "", age: float = DAY) -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": ago(age)}


def event(about: Json, reason: str, message: str, kind: str = "Warning", age: float = 60, count: int = 5) -> Json:
    metadata = about["metadata"]
    involved = {"kind": about["kind"], "name": metadata["name"], "namespace": metadata.get("namespace", "")}
    return {
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{reason}{age}", "namespace": metadata.get("namespace", "default")},
        "involvedObject": {key: value for key, value in involved.items() if value},
        "reason": reason, "message": message, "type": kind, "count": count,
        "firstTimestamp": ago(age + 600), "lastTimestamp": ago(age),
    }  # fmt: skip


def node(name: str = "node1", memory: str = "16200604Ki", **more: Any) -> Json:
    conditions = [
        condition("Ready"),
        *(condition(one, "False") for one in ("DiskPressure", "MemoryPressure", "PIDPressure")),
    ]
    status = {
        "conditions": conditions,
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": name}],
        "allocatable": {"cpu": "6", "memory": memory, "pods": "110"},
        "nodeInfo": {"kubeletVersion": "v1.31.6", "containerRuntimeVersion": "containerd://1.7.27"},
    }
    return thing("Node", name, more.pop("spec", {}), status, namespace="", **more)


def pod(name: str, component: str = "", **more: Any) -> Json:
    """A pod that is ready; `waiting`, `memory`, `image`, `volumes`, `node` change it."""
    labels = more.pop("labels", {"app": "jupyterhub", "component": component} if component else {})
    container: Json = {"name": more.get("container", "main"), "image": more.pop("image", "quay.io/jupyterhub/x:1")}
    if "memory" in more:
        container["resources"] = {"requests": {"memory": more.pop("memory")}}
    spec = {"containers": [container], "nodeName": more.pop("node", "node1"), "volumes": more.pop("volumes", [])}
    spec |= more.pop("spec", {})
    about: Json = {"name": more.pop("container", "main"), "image": container["image"], "ready": True, "restartCount": 0}
    about["state"] = {"running": {"startedAt": ago(DAY)}}
    status = {
        "phase": "Running",
        "conditions": [condition("PodScheduled"), condition("Ready")],
        "containerStatuses": [about],
    }
    return thing("Pod", name, spec, status, labels=labels, **{"age": DAY, **more})


def unplaced(name: str, words: str, **more: Any) -> Json:
    """A pod that the scheduler has no node for."""
    built = pod(name, **{"component": "singleuser-server", "age": 400, **more})
    del built["spec"]["nodeName"]
    unschedulable = condition("PodScheduled", "False", "Unschedulable", words, age=300)
    built["status"] = {"phase": "Pending", "conditions": [unschedulable]}
    return built


def waiting(name: str, reason: str, words: str = "", **more: Any) -> Json:
    """A pod that has a node, and whose container waits."""
    built = pod(name, **{"component": "singleuser-server", "age": 400, **more})
    built["status"]["phase"] = "Pending"
    built["status"]["conditions"][1] = condition("Ready", "False", "ContainersNotReady", "", age=400)
    state = {"waiting": {"reason": reason, "message": words}}
    built["status"]["containerStatuses"][0] |= {"ready": False, "state": state}
    return built


def crashing(name: str, code: int = 1, reason: str = "Error", lasted: float = 1, **more: Any) -> Json:
    """A pod whose container ends again and again."""
    built = waiting(name, "CrashLoopBackOff", "back-off 5m0s restarting failed container", **more)
    built["status"]["phase"] = "Running"
    ended = {"exitCode": code, "reason": reason, "startedAt": ago(60 + lasted), "finishedAt": ago(60)}
    built["status"]["containerStatuses"][0] |= {"restartCount": 8, "lastState": {"terminated": ended}}
    return built


def service(name: str, selector: Json | None = None, namespace: str = NAMESPACE, **spec: Any) -> Json:
    whole = {"type": "ClusterIP", "selector": selector or {}, "ports": [{"port": 80}], **spec}
    return thing("Service", name, whole, {"loadBalancer": {}}, namespace=namespace)


def secret(name: str, namespace: str = NAMESPACE, **data: bytes | str) -> Json:
    kept = {key.replace("__", "."): b64(value) for key, value in data.items()}
    return thing("Secret", name, namespace=namespace, type="Opaque", data=kept)


def settings(**more: Any) -> Json:
    told = {"hub_url": f"https://{HUB}", "hub_url_local": "http://proxy-public", **more}
    values = {"config": {"BinderHub": {key: value for key, value in told.items() if value is not None}}}
    return secret("binder-secret", values__yaml=yaml.safe_dump(values | {"imageBuilderType": "host"}))


def certificate(ready: bool = True, **more: Any) -> Json:
    spec = {
        "dnsNames": [HOST], "secretName": "binder-tls",
        "issuerRef": {"kind": "ClusterIssuer", "name": "letsencrypt", "group": "cert-manager.io"},
    }  # fmt: skip
    status: Json = {
        "conditions": [condition("Ready", reason="Ready")],
        "notAfter": ago(-60 * DAY),
        "renewalTime": ago(-30 * DAY),
    }
    if not ready:
        status = {
            "conditions": [condition("Ready", "False", "DoesNotExist", "Issuing certificate as Secret does not exist")]
        }
    return thing(
        "Certificate", "binder-tls", spec | more.pop("spec", {}), status | more.pop("status", {}),
        owner="Ingress/binderhub", **{"api": "cert-manager.io/v1", **more},
    )  # fmt: skip


def request(message: str = "", reason: str = "Pending") -> Json:
    status = {"conditions": [condition("Ready", "False", reason, message)]}
    return thing(
        "CertificateRequest", "binder-tls-1", {}, status, api="cert-manager.io/v1", owner="Certificate/binder-tls"
    )


def order(state: str = "pending", reason: str = "") -> Json:
    status = {"state": state, "reason": reason}
    return thing(
        "Order", "binder-tls-1-9", {}, status, api="acme.cert-manager.io/v1", owner="CertificateRequest/binder-tls-1"
    )


def challenge(reason: str, state: str = "pending", **more: Any) -> Json:
    status = {"presented": True, "processing": True, "reason": reason, "state": state}
    return thing(
        "Challenge", "binder-tls-1-9-7", {"dnsName": HOST, "type": "HTTP-01"}, status, owner="Order/binder-tls-1-9",
        **{"api": "acme.cert-manager.io/v1", "age": 1200, **more},
    )  # fmt: skip


def issuer(kind: str = "ClusterIssuer", name: str = "letsencrypt", ready: str = "True", **more: Any) -> Json:
    status = {"conditions": [condition("Ready", ready, more.pop("reason", ""), more.pop("message", ""))]}
    namespace = "" if kind == "ClusterIssuer" else more.pop("namespace", NAMESPACE)
    return thing(kind, name, {"acme": {}}, status, namespace=namespace, **{"api": "cert-manager.io/v1", **more})


def ingress(**more: Any) -> Json:
    spec = {
        "ingressClassName": "nginx", "rules": [{"host": HOST}], "tls": [{"hosts": [HOST], "secretName": "binder-tls"}],
    }  # fmt: skip
    status = {"loadBalancer": {"ingress": [{"ip": "10.0.1.61"}]}}
    notes = {"cert-manager.io/cluster-issuer": "letsencrypt"}
    return thing(
        "Ingress", "binderhub", spec | more.pop("spec", {}), more.pop("status", status),
        **{"api": "networking.k8s.io/v1", "annotations": notes, **more},
    )  # fmt: skip


def claim(name: str = "hub-db-dir", **more: Any) -> Json:
    spec = {"storageClassName": "local-path", "volumeName": "pv1", "accessModes": ["ReadWriteOnce"]}
    spec = {key: value for key, value in (spec | more.pop("spec", {})).items() if value is not None}
    status = {"phase": more.pop("phase", "Bound")}
    return thing("PersistentVolumeClaim", name, spec, status, **{"age": 3600, **more})


def policy(component: str, *ports: int) -> Json:
    spec = {
        "podSelector": {"matchLabels": {"component": component}}, "policyTypes": ["Egress"],
        "egress": [{"ports": [{"port": port} for port in ports]}],
    }  # fmt: skip
    return thing("NetworkPolicy", component, spec, api="networking.k8s.io/v1")


HUB_POD = pod(
    "hub-1", "hub", container="hub", volumes=[{"name": "pvc", "persistentVolumeClaim": {"claimName": "hub-db-dir"}}]
)


def healthy() -> list[Json]:
    """One object of every kind that is looked at, with events that are over."""
    user = pod("jupyter-ada", "singleuser-server", memory=str(GI))
    storage = {"storageclass.kubernetes.io/is-default-class": "true"}
    jupyter = {"app": "jupyterhub"}
    them = [
        node(), node("node2"), HUB_POD, user, pod("proxy-1", "proxy"), pod("binder-1", "binder"),
        pod("coredns-1", namespace="kube-system", labels={"k8s-app": "kube-dns"}),
        pod("cert-manager-1", namespace="cert-manager"),
        pod("ingress-nginx-1", namespace="ingress", labels={"app.kubernetes.io/name": "ingress-nginx"}),
        pod("user-placeholder-0", "user-placeholder"), pod("build-1", "binderhub-build"),
        pod("hook-image-puller-1", "hook-image-puller"),
        service("kube-dns", {"k8s-app": "kube-dns"}, "kube-system"), service("kubernetes", namespace="default"),
        service("hub", jupyter | {"component": "hub"}), service("binder", jupyter | {"component": "binder"}),
        service("proxy-public", jupyter | {"component": "proxy"}),
        service("ingress", {"app.kubernetes.io/name": "ingress-nginx"}, "ingress", type="LoadBalancer"),
        thing("Endpoints", "hub", subsets=[]),
        thing("Deployment", "hub", {"replicas": 1}, api="apps/v1"),
        claim(), thing("PersistentVolume", "pv1", {}, {"phase": "Bound"}, namespace=""),
        thing(
            "StorageClass", "local-path", namespace="", annotations=storage, provisioner="rancher.io/local-path",
            api="storage.k8s.io/v1",
        ),
        ingress(), thing("IngressClass", "nginx", {}, namespace="", api="networking.k8s.io/v1"),
        secret("binder-tls", tls__crt=pem(HOST), tls__key="no key"), settings(), secret("hub", token="s3cr3t-t0ken"),
        certificate(), request("Certificate fetched from issuer successfully", "Issued"), order("valid"),
        challenge("Successfully authorized domain", "valid"), issuer(), issuer("Issuer", "other"),
        policy("singleuser-server", 53, 8081, 443), policy("hub", 53, 443, 5432),
        thing("ResourceQuota", "pods", {}, {"hard": {"pods": "1000"}, "used": {"pods": "12"}}),
        thing("Namespace", NAMESPACE, {}, {"phase": "Active"}, namespace=""), *ways_in(), *webhooks(),
        thing("IPAddressPool", "public", {"addresses": ["10.0.1.61/32"]}, api="metallb.io/v1beta1"),
    ]  # fmt: skip
    them[17]["status"] = {"loadBalancer": {"ingress": [{"ip": "10.0.1.61"}]}}
    them[29]["status"]["conditions"][0]["status"] = "True"
    return [*them, *over(user)]


def ways_in() -> list[Json]:
    """A Gateway and its route, as their controller leaves them."""
    api, served = "gateway.networking.k8s.io/v1", [condition("Accepted"), condition("ResolvedRefs")]
    listener = {"name": "https", "conditions": [*served, condition("Programmed"), condition("Conflicted", "False")]}
    gateway = {"conditions": [condition("Accepted"), condition("Programmed")], "listeners": [listener]}
    route = {"parents": [{"parentRef": {"name": "shared"}, "conditions": served}]}
    return [thing("Gateway", "shared", {}, gateway, api=api), thing("HTTPRoute", "shared", {}, route, api=api)]


def webhooks() -> list[Json]:
    """cert-manager's: they are asked for its own objects alone."""
    kinds = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
    rules = [{"apiGroups": ["cert-manager.io"], "operations": ["CREATE", "UPDATE"], "resources": ["*/*"]}]
    service = {"namespace": "cert-manager", "name": "cert-manager-webhook"}
    hook = {"name": "webhook.cert-manager.io", "rules": rules, "clientConfig": {"service": service}}
    api = "admissionregistration.k8s.io/v1"
    return [thing(one, "cert-manager-webhook", namespace="", api=api, webhooks=[hook]) for one in kinds]


def over(user: Json) -> list[Json]:
    """Events that tell nothing any more."""
    return [
        event(user, "FailedScheduling", "0/2 nodes are available: 2 Insufficient memory.", age=3000),
        event(user, "FailedMount", 'MountVolume.SetUp failed for volume "x" : secret "y" not found', age=2900),
        event(user, "Failed", 'Failed to pull image "x": 429 Too Many Requests', age=2800),
        event(user, "Pulling", "Pulling image", "Normal", age=2700),
        event(HUB_POD, "Unhealthy", "Readiness probe failed: connection refused", age=DAY - 30),
        event(claim(), "ExternalProvisioning", 'waiting for external provisioner "x"', "Normal", age=3500),
        event(claim(), "FailedBinding", "no storage class is set", "Normal", age=3590),
        event(node(), "SystemOOM", "System OOM encountered", age=2 * DAY),
        event(pod("gone-1"), "BackOff", "Back-off restarting failed container", age=3000),
    ]


def recording(objects: Iterable[Json], **more: Any) -> Recording:
    """As a backend would have read it. `probes` as in probes.json; `logs` by file."""
    things = tuple(sifting.things(copy.deepcopy(list(objects))))
    served = {name: sifting.certificate(content, name) for name, content in more.pop("served", {}).items()}
    probes = sifting.probes({"probes": more.pop("probes", [])})
    whole = frozenset(one.kind for one in things) | {"StorageClass", "Secret", "Issuer"}
    told = Recording("memory", NOW, "the test", things, probes, served=served, whole=whole)
    return replace(told, **more)


Edit = Callable[[list[Json]], None]


@dataclass(frozen=True)
class Broken:
    """A healthy cluster with one thing wrong: what is added, what is taken away, and what else was seen."""

    add: tuple[Json, ...] = ()
    drop: tuple[str, ...] = ()
    """`Kind/name`."""
    probes: tuple[Json, ...] = ()
    logs: Mapping[str, str] = field(default_factory=dict)
    served: Mapping[str, bytes] = field(default_factory=dict)

    def seen(self) -> Examination:
        return diagnosed(self.recorded())

    def recorded(self) -> Recording:
        """Objects that are added take the place of those of the same kind and name."""
        replaced = {f"{one['kind']}/{one['metadata']['name']}" for one in self.add if one["kind"] != "Event"} | set(
            self.drop
        )
        kept = [one for one in healthy() if f"{one['kind']}/{one['metadata']['name']}" not in replaced]
        return recording([*kept, *self.add], probes=self.probes, logs=dict(self.logs), served=dict(self.served))


def codes(told: Iterable[Told]) -> list[str]:
    """All codes, roots before what they explain."""
    return [code for one in told for code in (one.finding.code, *codes(one.explains))]
