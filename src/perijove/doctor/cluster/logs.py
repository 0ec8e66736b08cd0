"""What do logs say that objects do not? Lines that are known, each with the failure that it stands for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.database import upgrade, upgrade_evidence
from perijove.doctor.cluster.telling import MOST, found, seen, span
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_failures as rows
from perijove.domain import cluster_tls_failures as tls
from perijove.domain.cluster import Thing
from perijove.domain.failures import Evidence, Kind
from perijove.domain.findings import Confidence, Finding


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is known."""

    kind: Kind
    pattern: re.Pattern[str]
    cause: str
    """A sentence without its full stop."""
    commands: tuple[str, ...] = ()
    sure: Confidence = Confidence.CERTAIN


def _line(kind: Kind, pattern: str, cause: str, *commands: str, sure: Confidence = Confidence.CERTAIN) -> Line:
    return Line(kind, re.compile(pattern, re.IGNORECASE), cause, commands, sure)


# Why a hub does not live. The first that fits is told.
HUB = (
    _line(rows.HUB_DB_SCHEMA_OLD, r"Found database schema version \w+ != \w+",
          "The hub refuses a database that an older JupyterHub made", *upgrade()),
    _line(rows.PROXY_TOKEN_MISMATCH, r"Did CONFIGPROXY_AUTH_TOKEN change|can't access it \(HTTP 403",
          "The proxy refuses the hub's token", "kubectl delete pod -l component=proxy   # in the hub's namespace"),
    _line(rows.HUB_DB_LOCKED, r"database is locked", "SQLite cannot lock the hub's database"),
    _line(rows.HUB_SERVICE_UNREACHABLE, r"Cannot connect to managed service", "A managed service does not answer"),
    _line(rows.HUB_THREADS_EXHAUSTED, r"can't start new thread", "The hub can start no more threads"),
    _line(rows.HUB_GAVE_UP, r"Aborting due to \d+ consecutive spawn failures", "Too many spawns in a row failed"),
    _line(rows.HUB_CANNOT_REACH_API, r"Max retries exceeded with url: /api/v1|"
          r"(?:Cannot connect to host|dial tcp) (?:10\.\d+\.0\.1|kubernetes\.default)[\w.]*:443",
          "The hub gets no answer from the Kubernetes API"),
)  # fmt: skip

WHILE_UP = {rows.HUB_DB_LOCKED, rows.HUB_THREADS_EXHAUSTED}
"""What a hub goes on with."""
_STOPPING = re.compile(r"server is in the process of stopping, please wait", re.IGNORECASE)
MANY = 3

# What BinderHub, builds and servers say while everything runs.
OTHERS = (
    _line(
        rows.HUB_API_TOKEN_REFUSED,
        r"(?:creating user|Hub API|api/users).*HTTP 403|Missing or invalid credentials",
        "The hub answers 403 to BinderHub",
        "kubectl rollout restart deployment/binder   # in BinderHub's namespace",
    ),
    _line(
        rows.HUB_NAME_UNRESOLVED,
        r"(?:Hub API|creating user|api_request|HTTP 599).*(?:Could not resolve host|"
        r"Name or service not known|Temporary failure in name resolution)",
        "The hub's name does not resolve",
        "kubectl -n kube-system get service kube-dns; kubectl -n kube-system get pods -l k8s-app=kube-dns",
    ),
    _line(
        rows.HUB_API_REFUSED,
        r"ConnectionRefusedError\(111|(?:Hub API|creating user).*(?:Connection refused|"
        r"Failed to connect)",
        "Connections to the hub are refused",
    ),
    _line(
        rows.HUB_API_TIMEOUT,
        r"(?:Hub API|creating user).*HTTP 599: (?:Timeout|Operation timed|Connection timed)",
        "Calls to the hub time out",
    ),
    _line(
        rows.QUOTA_FULL,
        r"BinderHub is full: \d+/\d+|Too many users (?:on this BinderHub|running \S+)!",
        "As many servers run as BinderHub's quota allows",
    ),
    _line(rows.SPAWN_LIMIT, r"Too many users trying to log in right now", "concurrent_spawn_limit is reached"),
    _line(
        rows.GITHUB_RATE_LIMITED,
        r"GitHub rate limit(?: \(\d+\))? exceeded",
        "GitHub answers no more this hour",
        "config.GitHubRepoProvider.access_token: …   # in secret.yaml, then helm upgrade",
    ),
    _line(rows.CA_BUNDLE_MISSING, r"error setting certificate verify locations", "libcurl does not find the CA bundle"),
    _line(rows.REGISTRY_CHECK_FAILS, r"Failed to get image manifest for", "The registry does not answer"),
    _line(
        rows.PUSH_DENIED,
        r"denied: requested access to the resource is denied|unauthorized: .*push",
        "The registry refuses the push",
    ),
    _line(rows.BUILD_OUT_OF_MEMORY, r"returned a non-zero code: 137|exit code: 137", "A step of the build was killed"),
    _line(
        rows.BUILD_NO_NAMES, r"unable to access 'https?://[^']+': could not resolve host", "A build resolves no name"
    ),
    _line(rows.USER_POD_CANNOT_REACH_HUB, r"Failed to connect to my Hub at", "A server cannot reach the hub"),
    _line(
        rows.XSRF_REFUSED,
        r"XSRF cookie does not match POST argument|'_xsrf' argument missing from POST",
        "A form's XSRF cookie is refused",
    ),
    _line(
        tls.CERT_MANAGER_WEBHOOK_BROKEN, r'failed calling webhook "webhook\.cert-manager\.io"',
        "The API server cannot call cert-manager's webhook", "kubectl -n cert-manager get pods",
    ),
)  # fmt: skip
_LATE = re.compile(r"(?:did not start|failed to start) in (\d+) seconds", re.IGNORECASE)


def line(cluster: Cluster, known: Line, of: str = "") -> Evidence | None:
    """The last line that fits, in the logs whose file's name holds `of`."""
    for name, log in cluster.recording.logs.items():
        if of not in name:
            continue
        match = None
        for match in known.pattern.finditer(log):  # noqa: B007  the last one counts
            pass
        if match is not None:
            begin = log.rfind("\n", 0, match.start()) + 1
            end = log.find("\n", match.end())
            return seen(name, log[max(begin, match.start() - MOST // 2) : end if end >= 0 else None].strip())
    return None


def hub_words(cluster: Cluster, pod: Thing) -> Finding | None:
    """Why the hub does not live, in its own words."""
    for known in HUB:
        stood = line(cluster, known, "hub")
        if stood is not None:
            more = upgrade_evidence(pod) if known.kind is rows.HUB_DB_SCHEMA_OLD else []
            return found(known.kind, known.cause, pod.said, known.sure, stood, *more, commands=known.commands)
    return None


def told(cluster: Cluster) -> Iterator[Finding]:
    """What stands in logs while everything seems to run."""
    for known in OTHERS:
        stood = line(cluster, known)
        if stood is not None:
            yield found(known.kind, known.cause, stood.where, known.sure, stood, commands=known.commands)
    yield from _of_the_hub(cluster)
    yield from _never_stopped(cluster)
    yield from _unseen_pods(cluster)


def _of_the_hub(cluster: Cluster) -> Iterator[Finding]:
    """What a hub's log says where the hub's pod was not recorded, or runs all the same."""
    hubs = [one for one in cluster.pods if pods.component(one) == "hub"]
    if hubs and not all(pods.ready(one) for one in hubs):
        return  # its pod is told, with these words
    for known in HUB:
        stood = line(cluster, known, "hub") if not hubs or known.kind in WHILE_UP else None
        if stood is not None and not (hubs and "previous" in stood.where):
            sure = Confidence.LIKELY if hubs else known.sure
            yield found(known.kind, known.cause, stood.where, sure, stood, commands=known.commands)
            return


def _never_stopped(cluster: Cluster) -> Iterator[Finding]:
    """Servers that are asked to stop again and again."""
    for name, log in cluster.recording.logs.items():
        stopping = list(_STOPPING.finditer(log))
        if len(stopping) >= MANY:
            begin = log.rfind("\n", 0, stopping[-1].start()) + 1
            yield found(
                rows.LEAKED_USER_PODS, f"The hub says {len(stopping)} times that a server is still stopping", name,
                Confidence.POSSIBLE, seen(name, log[begin : stopping[-1].end()]),
                commands=("kubectl delete pod -l component=hub   # in the hub's namespace",),
            )  # fmt: skip
            return


def _unseen_pods(cluster: Cluster) -> Iterator[Finding]:
    """The hub gives servers up whose pods are ready."""
    for name, log in cluster.recording.logs.items():
        match = _LATE.search(log)
        if match is None:
            continue
        patience = float(match[1])
        here = [one for one in cluster.pods if pods.is_user(one) and pods.ready(one)]
        well = [one for one in here if cluster.age(one.created) > patience and one.name in log]
        if well:
            begin = log.rfind("\n", 0, match.start()) + 1
            since = span(cluster.age(well[0].created))
            yield found(
                rows.REFLECTOR_LOST, f"The hub gave up {well[0].said}, which is ready", well[0].said, Confidence.LIKELY,
                seen(name, log[begin : match.end()]), seen(f"{well[0].said} Ready", f"True, made {since} ago"),
                commands=("kubectl delete pod -l component=hub   # in the hub's namespace",),
            )  # fmt: skip
            return
