"""What recorded cases are judged by, and those whose kinds the doctor did not know when they were recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Tree = dict[str, Any]
LAUNCHES: Tree = {"cluster.launches-fail": {}}
LATE: Tree = {"cluster.certificate-not-renewed": {}}


@dataclass(frozen=True)
class Case:
    name: str
    roots: Tree
    """Codes, each with what it explains."""
    cites: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    """What none of the roots' own words may hold."""
    commands: tuple[str, ...] = ()


ELSEWHERE = ("kubernetes.io/arch: arm64", "kubernetes.io/arch: amd64")
UNSCHEDULED: Tree = {"cluster.pod-crashloop": {"cluster.no-scheduler": {}}}
MORE = [
    Case(
        "quota-exceeded-403", {"cluster.resource-quota-exceeded": LAUNCHES},
        ("exceeded quota: binder-quota", "ResourceQuota binderhub/binder-quota status: limits.memory: 32Gi of 32Gi"),
        ("webhook", "image", "privileged"), ("kubectl -n binderhub edit resourcequota binder-quota",),
    ),
    Case(
        "webhook-service-gone", {"cluster.webhook-down": LAUNCHES},
        ("its Service does not exist", 'service "kyverno-svc" not found', "Event FailedCreate of DaemonSet"),
        ("quota",),
        ("kubectl -n kyverno get services", "delete validatingwebhookconfiguration kyverno-resource-"),
    ),
    Case(
        "webhook-without-endpoints",
        {"cluster.container-out-of-memory": {"cluster.pod-crashloop": {"cluster.webhook-down": LAUNCHES}}},
        ("OOMKilled", "no pod behind its Service is ready"), ("kubectl delete",),
    ),
    Case(
        "multi-attach-lost-node",
        {"cluster.node-not-ready": {
            "cluster.volume-multi-attach": LAUNCHES, "cluster.pod-stuck-terminating": {}}},
        ("Node worker-3", "Multi-Attach error", "Volume is already used by pod(s) hub-dsqm4mr7f-shcxr"),
        ("delete pvc", "made anew"), ("delete pod hub-dsqm4mr7f-shcxr --force   # only once its node is off",),
    ),
    Case(
        "exec-format-error", {"cluster.image-other-architecture": {}},
        ("exec format error", *ELSEWHERE, "2d1, Pod", "· likely"), ("author",),
        ("kubectl taint node worker-4 kubernetes.io/arch=arm64:NoSchedule",),
    ),
    Case(
        "image-without-platform", {"cluster.image-other-architecture": {}},
        ("no match for platform in manifest", *ELSEWHERE), ("does not have the image",),
    ),
    Case(
        "pull-secret-missing", {"cluster.pull-secret-missing": {"cluster.image-pull-unauthorized": {}}},
        ("Unable to retrieve some image pull secrets (image-pull-secret)", "have no credentials for"),
        ("does not exist",), ("imagePullSecret:", "registry: registry.binder.example"),
    ),
    Case(
        "cni-addresses-used-up", {"cluster.node-addresses-used-up": {}},
        ("Node worker-2", "no IP addresses available in range set"), ("cordon", "reboot"), ("ssh worker-2",),
    ),
    Case(
        "podsecurity-restricted", {"cluster.admission-refused": LAUNCHES},
        ("violates PodSecurity", "Namespace binderhub labels: pod-security.kubernetes.io/enforce: restricted"),
        ("quota", "service account"), ("pod-security.kubernetes.io/enforce=privileged --overwrite",),
    ),
    Case(
        "hub-without-role", {"cluster.account-forbidden": LAUNCHES},
        ('cannot create resource \\"pods\\"', "The service account binderhub/hub may not create pods"),
        ("policy", "blockWithIptables"), ("rbac:", "--as system:serviceaccount:binderhub:hub"),
    ),
    Case(
        "hub-db-readonly", {"cluster.hub-db-unwritable": LAUNCHES},
        ("attempt to write a readonly database",), ("corrupt", "delete", "no rule"),
        ("kubectl -n binderhub exec deploy/hub --",),
    ),
    Case(
        "etcd-disk-full", {"cluster.pod-crashloop": {"cluster.api-store-ill": LAUNCHES}},
        ("etcd-cp-1", "no space left on device", "etcdserver: request timed out"), ("restart deployment",),
        ("kubectl -n kube-system get pods -l component=etcd",),
    ),
    Case(
        "user-scheduler-api-gone", UNSCHEDULED,
        ("KubeSchedulerConfiguration", "kubescheduler.config.k8s.io/v1beta3", "spec.schedulerName"),
        ("memory", "taint", "no rule"), ("kubectl -n binderhub logs user-scheduler-",),
    ),
    Case(
        "scheduler-and-caa", {**UNSCHEDULED, "cluster.acme-caa": LATE},
        ("kubescheduler.config.k8s.io/v1beta3", "CAA record for binder.example prevents issuance"),
    ),
    Case(
        "dind-without-iptables", {"cluster.pod-crashloop": {"cluster.build-dind-down": {}}},
        ("binderhub-dind-5z4bb", "can't initialize iptables table", "Error while fetching server API version"),
        ("the hub",), ("kubectl -n binderhub logs binderhub-dind-5z4bb",),
    ),
    Case(
        "builds-beyond-storage-limit", {"cluster.pod-storage-limit": {}},
        ("exceeds the total limit of containers 10Gi", "container builder limit: 10Gi"), ("disk is full", "the node"),
        ("limitranges",),
    ),
    Case(
        "registry-token-expired", {"cluster.registry-check-fails": {}},
        ("Failed to get image manifest for", "HTTP 401: Unauthorized"), ("does not answer",), ("password: TOKEN",),
    ),
    Case(
        "github-token-expired", {"cluster.git-token-refused": {}},
        ("logs/build-page.txt", "Error resolving ref for gh:data-8/textbook/HEAD: HTTP 401: Unauthorized"),
        ("the hub", "registry", "repository was not found"), ("access_token: TOKEN",),
    ),
    Case(
        "registry-certificate-expired", {"cluster.registry-certificate-expired": {}},
        ("is after 2026-03-07T05:48:45Z",), ("clock", "install the ca"),
    ),
    Case(
        "node-clock-behind", {"cluster.node-clock-wrong": {}},
        ("Node worker-3 clock", "2025-11-02T03:14:25Z"), ("trust", "install"),
        ("ssh worker-3", "timedatectl set-ntp true"),
    ),
    Case(
        "tls-secret-wrong-keys", {"cluster.secret-broken": {}},
        ("has no tls.crt and no tls.key", "cert.pem, key.pem (type Opaque)"), ("expired", "cert-manager"),
        ('"tls.crt": .data["cert.pem"]', "kubernetes.io/tls"),
    ),
    Case(
        "dns01-token-invalid", {"cluster.dns-credentials-refused": {"cluster.challenge-not-presented": LATE}},
        ("Error: 9109: Invalid access token", "Event PresentError", "Secret cert-manager/cloudflare-api-token"),
        ("port 80", "has not been issued"),
        ("kubectl -n cert-manager patch secret cloudflare-api-token --patch-file /dev/stdin",),
    ),
    Case(
        "caa-forbids", {"cluster.acme-caa": LATE}, ("CAA record for binder.example prevents issuance",),
        ("port 80", "has not been issued"), ("dig CAA",),
    ),
    Case(
        "cert-manager-webhook-crashes",
        {"cluster.pod-crashloop": {"cluster.cert-manager-webhook-broken": {"cluster.fake-certificate": {}}}},
        ("cert-manager-webhook-pgwrnjsfb-tkdfs", "no endpoints available for service", "docs.binder.example"),
        ("kubectl delete",), ("kubectl -n cert-manager logs cert-manager-webhook-",),
    ),
    Case(
        "issuer-account-key-deleted",
        {"cluster.issuer-secret-missing": {"cluster.issuer-not-ready": LATE}},
        ("disableAccountKeyGeneration", "reads Secret letsencrypt in cert-manager, and there is none"),
        ("port 80", "rate limit"),
    ),
    Case(
        "gateway-not-permitted", {"cluster.gateway-not-programmed": {}},
        ("RefNotPermitted", "not permitted by any ReferenceGrant", "listener https"), (),
        ("kubectl -n gateways describe gateway public",),
    ),
    Case(
        "metallb-pool-exhausted", {"cluster.load-balancer-pending": {"cluster.site-unreachable": {}}},
        ("Event AllocationFailed", "no available IPs", "empty (<pending>)"), ("install metallb", "proxy.service.type"),
        ("kubectl -n metallb-system edit ipaddresspool public",),
    ),
    Case(
        "quota-asks-for-limits", {"cluster.resource-quota-exceeded": LAUNCHES},
        ("failed quota: tenant-42: must specify limits.cpu for: notebook", "ResourceQuota binderhub/tenant-42 status"),
        ("is exceeded", "raise"), ("cpu:", "limit: 2G"),
    ),
    Case(
        "service-account-missing", {"cluster.admission-refused": LAUNCHES},
        ("error looking up service account binderhub/singleuser", "Unhandled error starting"), ("policy", "quota"),
        ("kubectl -n binderhub create serviceaccount singleuser",),
    ),
    Case(
        "servers-unanswered", {"cluster.server-unanswered": {}}, ("didn't respond in 30 seconds",), ("no rule",),
        ("kubectl -n binderhub get networkpolicies",),
    ),
    Case(
        "dns01-record-unseen", {"cluster.acme-dns01-unseen": LATE},
        ('DNS record for "hub.binder.example" not yet propagated',), ("port 80", "has not been issued", "credentials"),
        ("dig +trace TXT _acme-challenge.hub.binder.example",),
    ),
    Case("healthy-and-noisy", {}),
]  # fmt: skip
