"""The kinds of objects that are looked at, and where the API serves them. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Served:
    """A kind, and the path of its list."""

    kind: str
    plural: str
    base: str
    """`/api`, or `/apis/GROUP`."""
    version: str
    namespaced: bool = True
    legacy: bool = False
    """Whether its being gone is as it should be."""

    @property
    def group(self) -> str:
        """`` for the core group."""
        return self.base.removeprefix("/api").removeprefix("s/")


def _of(
    base: str, version: str, kinds: dict[str, str], *, namespaced: bool = True, legacy: bool = False
) -> list[Served]:
    return [Served(kind, plural, base, version, namespaced, legacy) for kind, plural in kinds.items()]


_CERTIFICATES = {"Certificate": "certificates", "CertificateRequest": "certificaterequests", "Issuer": "issuers"}
_ORDERS = {"Order": "orders", "Challenge": "challenges"}
_OLD = "/apis/certmanager.k8s.io"
_CORE = {
    "Pod": "pods",
    "Event": "events",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "Service": "services",
    "Endpoints": "endpoints",
    "Secret": "secrets",
    "ResourceQuota": "resourcequotas",
}
_OF_ALL = {"Node": "nodes", "PersistentVolume": "persistentvolumes", "Namespace": "namespaces"}
_WEBHOOKS = {
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
}

KINDS = (
    *_of("/api", "v1", _CORE),
    *_of("/api", "v1", _OF_ALL, namespaced=False),
    *_of("/apis/admissionregistration.k8s.io", "v1", _WEBHOOKS, namespaced=False),
    *_of("/apis/gateway.networking.k8s.io", "v1", {"Gateway": "gateways", "HTTPRoute": "httproutes"}),
    *_of("/apis/metallb.io", "v1beta1", {"IPAddressPool": "ipaddresspools"}),
    *_of("/apis/storage.k8s.io", "v1", {"StorageClass": "storageclasses"}, namespaced=False),
    *_of("/apis/apps", "v1", {"Deployment": "deployments"}),
    *_of("/apis/networking.k8s.io", "v1", {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"}),
    *_of("/apis/networking.k8s.io", "v1", {"IngressClass": "ingressclasses"}, namespaced=False),
    *_of("/apis/cert-manager.io", "v1", _CERTIFICATES),
    *_of("/apis/cert-manager.io", "v1", {"ClusterIssuer": "clusterissuers"}, namespaced=False),
    *_of("/apis/acme.cert-manager.io", "v1", _ORDERS),
    *_of(_OLD, "v1alpha1", {**_CERTIFICATES, **_ORDERS}, legacy=True),
    *_of(_OLD, "v1alpha1", {"ClusterIssuer": "clusterissuers"}, namespaced=False, legacy=True),
)
_SHORT = {
    "po": "Pod", "ev": "Event", "pvc": "PersistentVolumeClaim", "pv": "PersistentVolume", "svc": "Service",
    "ep": "Endpoints", "quota": "ResourceQuota", "no": "Node", "sc": "StorageClass", "deploy": "Deployment",
    "ing": "Ingress", "netpol": "NetworkPolicy", "cert": "Certificate", "certs": "Certificate",
    "cr": "CertificateRequest", "crs": "CertificateRequest", "certreqs": "CertificateRequest",
    "ns": "Namespace", "gtw": "Gateway",
}  # fmt: skip
"""Names that kubectl and people have for them."""
BY_PLURAL = {one.plural: one.kind for one in KINDS} | _SHORT
