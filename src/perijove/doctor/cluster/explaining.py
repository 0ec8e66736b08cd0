"""Which finding follows from which? Along edges of the graph and in the order of time; codes only filter. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from perijove.doctor.cluster.graph import Graph
from perijove.domain import cluster_failures as c
from perijove.domain import cluster_ground_failures as g
from perijove.domain import cluster_tls_failures as t
from perijove.domain.cluster_session_failures import NAMESPACE_TERMINATING, WEBHOOK_DOWN
from perijove.domain.failures import Kind
from perijove.domain.findings import Confidence, Finding
from perijove.domain.front_failures import ACME_HTTP01_BLOCKED_BY_FRONT_PROXY

EARLIER = 120.0
"""Seconds by which what follows may have been noticed before what it follows from: a kubelet is given up after 40."""
BY_INFERENCE = (Confidence.CERTAIN, Confidence.LIKELY, Confidence.POSSIBLE)
"""How sure an explanation is, by the number of inferred edges on its way; more of them explain nothing."""
NODE_ILL = (
    g.NODE_NOT_READY, g.NODE_DISK_PRESSURE, g.NODE_MEMORY_PRESSURE, g.NODE_NETWORK_BROKEN, g.NODE_FILESYSTEM_READONLY,
    g.NODE_OUT_OF_MEMORY, g.NODE_PID_PRESSURE, g.NODE_CLOCK_WRONG, g.NODE_ADDRESSES_USED_UP,
)  # fmt: skip
STORAGE_ILL = (
    g.NFS_UNREACHABLE, g.NFS_ACCESS_DENIED, g.NFS_PATH_MISSING, g.VOLUME_MULTI_ATTACH, g.VOLUME_IO_ERROR,
    g.VOLUME_MOUNT_FAILED, g.POD_WAITS_FOR_VOLUME,
)  # fmt: skip
HUB_DOWN = (c.HUB_CRASHLOOP, c.HUB_NOT_READY, c.POD_CRASHLOOP, c.PODS_EVICTED, *STORAGE_ILL, *NODE_ILL)
ROOTS_OF_HUB = (
    c.HUB_DB_SCHEMA_OLD, c.PROXY_TOKEN_MISMATCH, c.HUB_SERVICE_UNREACHABLE, c.HUB_CANNOT_REACH_API, c.HUB_GAVE_UP,
    c.HUB_DB_LOCKED, c.HUB_DB_UNWRITABLE, c.HUB_THREADS_EXHAUSTED, c.RESOURCE_QUOTA_EXCEEDED,
)  # fmt: skip
"""What the hub says of itself in its log."""
HUB_AWAY = (
    c.HUB_API_TLS_EXPIRED, c.HUB_API_TLS_UNTRUSTED, c.HUB_API_TOKEN_REFUSED, c.HUB_NAME_UNRESOLVED, c.HUB_API_REFUSED,
    c.HUB_API_TIMEOUT, c.HUB_URL_PLACEHOLDER,
)  # fmt: skip
NO_ROOM = (
    c.POD_UNSCHEDULABLE_FULL, c.NODES_CORDONED, c.REQUEST_LARGER_THAN_ANY_NODE, c.TAINT_UNTOLERATED,
    c.NODE_SELECTOR_MISMATCH, c.NODE_POD_LIMIT, c.VOLUME_ON_OTHER_NODE, c.POD_UNSCHEDULABLE_MEMORY,
    c.POD_UNSCHEDULABLE_CPU, c.POD_UNSCHEDULABLE_RESOURCE,
)  # fmt: skip
NO_NAMES = (g.KUBE_DNS_SERVICE_MISSING, g.CLUSTER_NAMES_DOWN, g.NETWORK_POLICY_BLOCKS_NAMES)
NOT_PULLED = (
    c.DOCKERHUB_ANONYMOUS_PULLS, c.IMAGE_PULL_RATE_LIMITED, c.PULL_SECRET_MISSING, c.IMAGE_PULL_UNAUTHORIZED,
    c.IMAGE_NOT_FOUND, c.REGISTRY_PLAIN_HTTP, c.REGISTRY_UNTRUSTED, c.REGISTRY_CERTIFICATE_EXPIRED,
    c.REGISTRY_UNREACHABLE, c.IMAGE_PULL_FAILED,
)  # fmt: skip
NOT_STARTED = (
    c.MOUNT_OBJECT_MISSING, c.CONTAINER_START_FAILED, c.IMAGE_OTHER_ARCHITECTURE, c.NO_SCHEDULER, *STORAGE_ILL,
    *NO_ROOM, *NOT_PULLED, *NODE_ILL,
)  # fmt: skip
NO_WAY_IN = (g.SERVICE_WITHOUT_PODS, g.SERVICE_MISSING, g.SERVICE_PORT_WRONG)
BEHIND_WEBHOOK = (c.POD_CRASHLOOP, *NO_WAY_IN, *NOT_STARTED, *NODE_ILL)
MANAGER_ILL = (t.CERT_MANAGER_DOWN, t.CERT_MANAGER_WEBHOOK_BROKEN, t.LEGACY_CERT_MANAGER)
MAY_FOLLOW: dict[Kind, tuple[Kind, ...]] = {
    c.LAUNCHES_FAIL: (
        c.HUB_URL_WRONG_PATH,
        c.ADMISSION_REFUSED,
        c.ACCOUNT_FORBIDDEN,
        WEBHOOK_DOWN,
        NAMESPACE_TERMINATING,
        g.API_STORE_ILL,
        *HUB_AWAY,
        *HUB_DOWN,
        *ROOTS_OF_HUB,
        *NO_WAY_IN,
        *NOT_STARTED,
        *NO_NAMES,
        g.NO_RULE,
    ),
    c.HUB_API_TLS_EXPIRED: (t.CERTIFICATE_EXPIRED, ACME_HTTP01_BLOCKED_BY_FRONT_PROXY),
    c.HUB_API_TLS_UNTRUSTED: (t.SECRET_BROKEN, t.FAKE_CERTIFICATE, t.CERTIFICATE_NOT_FOR_HOST),
    c.HUB_API_REFUSED: (*HUB_DOWN, *NOT_STARTED, *NO_WAY_IN),
    c.HUB_API_TIMEOUT: (*HUB_DOWN, *NOT_STARTED, *NO_WAY_IN, c.HUB_THREADS_EXHAUSTED),
    c.HUB_NAME_UNRESOLVED: (*NO_NAMES, c.HUB_URL_PLACEHOLDER),
    c.BUILD_NO_NAMES: NO_NAMES,
    c.USER_POD_CANNOT_REACH_HUB: (*NO_NAMES, g.NODE_NETWORK_BROKEN, *HUB_DOWN),
    c.HUB_GAVE_UP: (*NOT_STARTED, c.IMAGE_PULL_RATE_LIMITED),
    c.SPAWN_LIMIT: (*NO_ROOM, c.IMAGE_PULL_RATE_LIMITED, c.REFLECTOR_LOST),
    c.HUB_CRASHLOOP: (g.INOTIFY_EXHAUSTED, *NO_NAMES, *NODE_ILL, c.CONTAINER_OUT_OF_MEMORY),
    c.HUB_NOT_READY: (g.INOTIFY_EXHAUSTED, *NO_NAMES, *NODE_ILL, c.CONTAINER_OUT_OF_MEMORY),
    c.TOKENS_CHANGE: (c.PROXY_TOKEN_MISMATCH, c.HUB_API_TOKEN_REFUSED),
    c.PLACEHOLDERS_PENDING: NO_ROOM,
    c.NO_SCHEDULER: (c.POD_CRASHLOOP, c.HUB_NOT_READY, *NOT_PULLED, *NODE_ILL),
    c.PODS_EVICTED: (g.NODE_DISK_PRESSURE, g.NODE_MEMORY_PRESSURE),
    c.POD_CRASHLOOP: (g.INOTIFY_EXHAUSTED, *NO_NAMES, *NODE_ILL, c.CONTAINER_OUT_OF_MEMORY),
    c.POD_STUCK_TERMINATING: (g.NODE_NOT_READY, g.NODE_FILESYSTEM_READONLY),
    c.POD_UNSCHEDULABLE_FULL: (c.LEAKED_USER_PODS, g.NODE_NOT_READY, c.NODES_CORDONED),
    c.NODES_CORDONED: (g.NODE_NOT_READY, c.POD_CRASHLOOP, g.NODE_DISK_PRESSURE),
    c.TAINT_UNTOLERATED: NODE_ILL,
    c.QUOTA_FULL: (c.LEAKED_USER_PODS,),
    c.BUILD_DIND_DOWN: (c.POD_CRASHLOOP, c.HUB_NOT_READY, *NODE_ILL),
    c.BUILD_DOCKER_SOCKET_MISSING: (c.BUILD_DIND_DOWN, c.BUILDER_NEEDS_DOCKER),
    g.POD_WAITS_FOR_VOLUME: (
        g.PVC_NO_STORAGECLASS,
        g.STORAGECLASS_NOT_FOUND,
        g.PVC_NO_VOLUME,
        g.PVC_LOST,
        g.PVC_PROVISIONING_FAILED,
        g.PROVISIONER_NOT_RUNNING,
        g.PROVISIONER_TOO_OLD,
    ),
    g.PVC_PROVISIONING_FAILED: (g.NFS_UNREACHABLE, g.NFS_ACCESS_DENIED, c.POD_CRASHLOOP),
    g.PROVISIONER_NOT_RUNNING: (c.POD_CRASHLOOP, g.NFS_UNREACHABLE, g.NFS_ACCESS_DENIED, *NODE_ILL, *NOT_STARTED),
    g.NFS_UNREACHABLE: NODE_ILL,
    g.VOLUME_MULTI_ATTACH: (g.NODE_NOT_READY,),
    g.VOLUME_MOUNT_FAILED: NODE_ILL,
    c.VOLUME_ON_OTHER_NODE: (g.NODE_NOT_READY, c.NODES_CORDONED),
    g.CLUSTER_NAMES_DOWN: (g.NODE_NOT_READY, g.NODE_NETWORK_BROKEN, *NOT_STARTED),
    g.INGRESS_ON_CORDONED: (c.NODES_CORDONED,),
    g.SITE_UNREACHABLE: (
        g.INGRESS_CLASS_UNKNOWN,
        g.LOAD_BALANCER_PENDING,
        g.INGRESS_ON_CORDONED,
        g.INGRESS_WITHOUT_CLASS,
        g.INGRESS_CONTROLLER_ABSENT,
        *NO_WAY_IN,
        *HUB_DOWN,
    ),
    t.CERT_MANAGER_DOWN: (*NODE_ILL, *NOT_STARTED, c.POD_CRASHLOOP),
    t.CERT_MANAGER_WEBHOOK_BROKEN: (t.CERT_MANAGER_DOWN, *BEHIND_WEBHOOK),
    WEBHOOK_DOWN: BEHIND_WEBHOOK,
    g.API_STORE_ILL: (c.POD_CRASHLOOP, *NODE_ILL),
    t.CERTIFICATE_NOT_ISSUED: (*MANAGER_ILL, t.ISSUER_NOT_READY),
    t.CERTIFICATE_EXPIRED: (*MANAGER_ILL, t.AUTOHTTPS_NO_CERTIFICATE, ACME_HTTP01_BLOCKED_BY_FRONT_PROXY),
    t.CERTIFICATE_NOT_RENEWED: (*MANAGER_ILL, t.ISSUER_NOT_READY),
    t.CHALLENGE_NOT_PRESENTED: (*MANAGER_ILL, t.DNS_CREDENTIALS_REFUSED),
    t.FAKE_CERTIFICATE: (
        g.INGRESS_CLASS_UNKNOWN,
        g.INGRESS_CONTROLLER_ABSENT,
        t.CERTIFICATE_NOT_ISSUED,
        *MANAGER_ILL,
        g.INGRESS_WITHOUT_CLASS,
    ),
    t.ACME_HTTP01_SELFCHECK_404: (
        g.INGRESS_CLASS_UNKNOWN,
        g.INGRESS_WITHOUT_CLASS,
        g.INGRESS_CONTROLLER_ABSENT,
        t.TWO_TLS_OWNERS,
    ),
    t.AUTOHTTPS_NO_CERTIFICATE: (t.TWO_TLS_OWNERS, g.LOAD_BALANCER_PENDING, ACME_HTTP01_BLOCKED_BY_FRONT_PROXY),
}
"""What a failure can follow from, whatever the objects: the filter of what the graph joins."""


def explained(told: list[Finding], graph: Graph) -> list[Finding]:
    """Each finding with the nearest one that it follows from."""
    by_code: dict[str, list[Finding]] = {}
    for one in told:
        by_code.setdefault(one.code, []).append(one)
    return _one_end([_linked(one, by_code, graph) for one in told])


def _linked(one: Finding, by_code: dict[str, list[Finding]], graph: Graph) -> Finding:
    if one.because_of:
        return one
    own = [one.because] if one.because in by_code else []
    wanted = own or [kind.code for kind in MAY_FOLLOW.get(one.failure.kind, ())]
    others = [other for code in wanted for other in by_code.get(code, ()) if other != one]
    if not others:
        return replace(one, because="")
    reached = graph.reached(about(one))
    found = sorted(_candidates(one, others, wanted, reached))
    if found:
        (inferred, _, _, subject, code) = found[0]
        # What nobody knows may bring it about, or be there as well.
        follows = Confidence.POSSIBLE if code == g.NO_RULE.code else BY_INFERENCE[inferred]
        return replace(one, because=code, because_of=subject, follows=follows)
    if own and len(others) == 1:
        # The rule itself said so, of objects that the graph does not know.
        return replace(one, because_of=others[0].subject)
    return replace(one, because="")


def _candidates(
    one: Finding, others: Iterable[Finding], wanted: list[str], reached: dict[str, tuple[int, int]]
) -> Iterator[tuple[int, int, int, str, str]]:
    for other in others:
        ways = [reached[name] for name in about(other) if name in reached]
        if ways and min(ways)[0] < len(BY_INFERENCE) and in_order(other, one):
            unknown = other.code == g.NO_RULE.code
            yield (min(ways)[0] + 2 * unknown, min(ways)[1], wanted.index(other.code), other.subject, other.code)


def about(one: Finding) -> tuple[str, ...]:
    """The objects that a finding is about."""
    return one.objects or (one.subject,)


def in_order(cause: Finding, effect: Finding) -> bool:
    """Whether the cause was there before, as far as both say since when."""
    return not cause.since or not effect.since or cause.since <= effect.since + EARLIER


def _one_end(told: list[Finding]) -> list[Finding]:
    """Where nothing deeper is known, the certificate that ended is told once: as what BinderHub stumbles over."""
    hub = next((one for one in told if one.code == c.HUB_API_TLS_EXPIRED.code), None)
    roots = [one for one in told if one.code == t.CERTIFICATE_EXPIRED.code and not one.because]
    ended = next((one for one in roots if hub is not None and hub.because_of == one.subject), None)
    if hub is None or ended is None:
        return told
    root = replace(hub, because="", because_of="")
    rest = [root if one is hub else one for one in told if one is not ended]
    return [
        replace(one, because_of=hub.subject, because=hub.code) if one.because_of == ended.subject else one
        for one in rest
    ]
