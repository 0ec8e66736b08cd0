"""Lines of logs that are known: what each means, and who writes it where. Pure.

`source` is the place that was read: project, version or branch, and file. Where nobody read it, it says `as recorded`,
and by which program the line was met.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from perijove.doctor.cluster.helm import binder
from perijove.domain import cluster_failures as rows
from perijove.domain.cluster_session_failures import GIT_TOKEN_REFUSED
from perijove.domain.failures import HOST_UNREACHABLE, REPO_NOT_FOUND, Kind
from perijove.domain.findings import Confidence


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is known."""

    kind: Kind
    pattern: re.Pattern[str]
    cause: str
    """A sentence without its full stop."""
    source: str
    commands: tuple[str, ...] = ()
    sure: Confidence = Confidence.CERTAIN
    of: tuple[str, ...] = ()
    """Components in whose logs it says that; none where it says so anywhere."""

    def told_by(self, component: str) -> bool:
        return not self.of or component in self.of


def _line(
    kind: Kind, pattern: str, cause: str, source: str, *commands: str,
    of: tuple[str, ...] = (), sure: Confidence = Confidence.CERTAIN,
) -> Line:  # fmt: skip
    return Line(kind, re.compile(pattern, re.IGNORECASE), cause, source, commands, sure, of)


BUILDS = ("build", "binderhub-build", "binder")
GITHUB_TOKEN = binder({"config.GitHubRepoProvider.access_token": "TOKEN"}, "a token of GitHub's; in a file of secrets")
REF = "Error resolving ref for "
"""BinderHub writes it to the launch's page alone, and nothing into its log (binderhub main builder.py)."""


# Why a hub does not live. The first that fits is told.
HUB = (
    _line(rows.HUB_DB_SCHEMA_OLD, r"Found database schema version \w+ != \w+",
          "The hub refuses a database that an older JupyterHub made", "jupyterhub 6.1.1 orm.py, check_db_revision"),
    _line(rows.PROXY_TOKEN_MISMATCH, r"api_request to proxy failed: HTTP 403|Did CONFIGPROXY_AUTH_TOKEN change|"
          r"can't access it \(HTTP 403", "The proxy refuses the hub's token",
          "jupyterhub 6.1.1 proxy.py, api_request; jupyterhub 0.8 app.py, init_proxy"),
    _line(rows.HUB_DB_LOCKED, r"database is locked", "SQLite cannot lock the hub's database",
          "as recorded: sqlite"),
    _line(rows.HUB_DB_UNWRITABLE, r"OperationalError\) (?:attempt to write a readonly database|"
          r"database or disk is full|disk I/O error|unable to open database file)",
          "SQLite cannot write the hub's database", "as recorded: sqlite",
          "kubectl -n NAMESPACE exec deploy/hub -- sh -c 'id; df -h .; ls -ln .'"),
    _line(rows.HUB_SERVICE_UNREACHABLE, r"Cannot connect to managed service", "A managed service does not answer",
          "jupyterhub 6.1.1 app.py, start"),
    _line(rows.HUB_THREADS_EXHAUSTED, r"can't start new thread", "The hub can start no more threads",
          "as recorded: cpython"),
    _line(rows.HUB_GAVE_UP, r"Aborting due to \d+ consecutive spawn failures", "Too many spawns in a row failed",
          "jupyterhub 6.1.1 handlers/base.py, spawn_single_user"),
    _line(rows.HUB_CANNOT_REACH_API, r"Max retries exceeded with url: /api/v1|"
          r"(?:Cannot connect to host|dial tcp) (?:10\.\d+\.0\.1|kubernetes\.default)[\w.]*:443",
          "The hub gets no answer from the Kubernetes API",
          "urllib3 2.8.0 exceptions.py, MaxRetryError; aiohttp 3.14.5 client_exceptions.py; as recorded: go"),
)  # fmt: skip
WHILE_UP = {rows.HUB_DB_LOCKED, rows.HUB_DB_UNWRITABLE, rows.HUB_THREADS_EXHAUSTED}
"""What a hub goes on with."""

# What BinderHub, builds and servers say while everything runs.
OTHERS = (
    _line(rows.HUB_API_TOKEN_REFUSED,
          r"(?:creating user|Hub API|api/users).*HTTP 403|Missing or invalid credentials",
          "The hub answers 403 to BinderHub",
          "binderhub main launcher.py, Launcher.launch; jupyterhub 6.1.1 scopes.py, needs_scope",
          "kubectl -n NAMESPACE rollout restart deployment/binder"),
    _line(rows.HUB_NAME_UNRESOLVED,
          rf"^(?!.*{REF}).*(?:Hub API|creating user|api_request|HTTP 599).*(?:Could not resolve host|"
          r"Name or service not known|Temporary failure in name resolution)", "The hub's name does not resolve",
          "binderhub main launcher.py, api_request; as recorded: curl and glibc",
          "kubectl -n kube-system get service kube-dns; kubectl -n kube-system get pods -l k8s-app=kube-dns"),
    _line(rows.HUB_API_REFUSED,
          r"(?:Hub API|creating user).*(?:Connection refused|Failed to connect|ConnectionRefusedError)|"
          r"ConnectionRefusedError\(111",
          "Connections to the hub are refused",
          "binderhub main launcher.py, api_request; as recorded: curl and cpython", of=("binder",)),
    _line(rows.HUB_API_TIMEOUT,
          r"(?:Hub API|creating user).*HTTP 599: (?:Timeout|Operation timed|Connection timed)",
          "Calls to the hub time out", "tornado 6.6.1 simple_httpclient.py, HTTPTimeoutError; as recorded: curl"),
    _line(rows.QUOTA_FULL,
          r"BinderHub is full: \d+/\d+|Too many users (?:on this BinderHub|running \S+)!",
          "As many servers run as BinderHub's quota allows", "binderhub main quota.py, check_repo_quota"),
    _line(rows.SPAWN_LIMIT, r"Too many users trying to log in right now", "concurrent_spawn_limit is reached",
          "jupyterhub 6.1.1 handlers/base.py, spawn_single_user"),
    _line(rows.GITHUB_RATE_LIMITED, r"GitHub rate limit(?: \(60\))? exceeded", "GitHub answers no more this hour",
          "binderhub main repoproviders.py, github_api_request", GITHUB_TOKEN),
    _line(rows.GITHUB_RATE_LIMITED, rf"GitHub rate limit \((?!60\))\d+\) exceeded|{REF}(?:gh|gist):\S+ HTTP 429",
          "GitHub answers no more for now: where a token is set, its account's requests are used up",
          "binderhub main repoproviders.py, github_api_request; binderhub main builder.py, BuildHandler.get"),
    _line(GIT_TOKEN_REFUSED, rf"{REF}(?:gh|gist):\S+ HTTP 401",
          "GitHub answers 401: BinderHub's token has expired, was revoked, or is mistyped",
          "binderhub main builder.py, BuildHandler.get", GITHUB_TOKEN),
    _line(GIT_TOKEN_REFUSED, rf"{REF}gl:\S+ HTTP 40[13]",
          "GitLab refuses BinderHub's token: it has expired, was revoked, or lacks read_api and read_repository",
          "binderhub main builder.py, BuildHandler.get",
          binder({"config.GitLabRepoProvider.private_token": "TOKEN"}, "a new token; in a file of secrets")),
    _line(GIT_TOKEN_REFUSED, rf"{REF}(?:gh|gist):\S+ HTTP 403",
          "GitHub answers 403: an organisation does not let the token in, or there were too many requests at once",
          "binderhub main builder.py, BuildHandler.get", sure=Confidence.POSSIBLE),
    _line(HOST_UNREACHABLE, rf"{REF}\S+ HTTP 5\d\d(?!: error setting)",
          "BinderHub asks the repository's host for a commit, and gets none",
          "binderhub main builder.py, BuildHandler.get; tornado 6.6.1 httpclient.py, HTTPClientError"),
    _line(rows.CA_BUNDLE_MISSING, r"error setting certificate verify locations", "libcurl does not find the CA bundle",
          "as recorded: curl"),
    _line(rows.REGISTRY_CHECK_FAILS, r"Failed to get image manifest for", "BinderHub gets no manifests of images",
          "binderhub main builder.py, BuildHandler.get"),
    _line(rows.BUILD_DIND_DOWN, r"Error while fetching server API version|Cannot connect to the Docker daemon at",
          "Builds get no answer from their Docker daemon",
          "docker 7.1.0 docker/api/client.py, _retrieve_server_version; as recorded: docker", of=BUILDS),
    _line(rows.PUSH_DENIED, r"denied: requested access to the resource is denied|unauthorized: .*push",
          "The registry refuses the push", "as recorded: docker and its registries"),
    _line(rows.BUILD_OUT_OF_MEMORY, r"returned a non-zero code: 137|exit code: 137", "A step of the build was killed",
          "as recorded: docker and buildkit"),
    _line(rows.BUILD_NO_NAMES, r"unable to access 'https?://[^']+': could not resolve host", "A build resolves no name",
          "as recorded: git"),
    _line(rows.USER_POD_CANNOT_REACH_HUB, r"Failed to connect to my Hub at https?://(?:127\.|localhost|0\.0\.0\.0)",
          "The hub tells servers an address of their own machine: c.JupyterHub.hub_connect_ip is not set",
          "jupyterhub 6.1.1 singleuser/extension.py; jupyterhub 6.1.1 app.py, hub_connect_ip"),
    _line(rows.USER_POD_CANNOT_REACH_HUB, r"Failed to connect to my Hub at", "A server cannot reach the hub",
          "jupyterhub 6.1.1 singleuser/extension.py"),
    _line(rows.SERVER_UNANSWERED, r"server never showed up at|Server at \S+ didn't respond in \d+ seconds",
          "Servers that were started do not answer the hub in time",
          "jupyterhub 6.1.1 user.py, User.spawn; jupyterhub 6.1.1 utils.py, wait_for_http_server",
          "kubectl -n NAMESPACE get networkpolicies; kubectl -n NAMESPACE get pods -l component=singleuser-server",
          of=("hub",), sure=Confidence.POSSIBLE),  # a single one may be its repository's own
    _line(rows.XSRF_REFUSED, r"XSRF cookie does not match POST argument|'_xsrf' argument missing from POST",
          "A form's XSRF cookie is refused", "tornado 6.6.1 web.py, check_xsrf_cookie"),
)  # fmt: skip

VISITORS = (
    _line(
        REPO_NOT_FOUND,
        r"Could not resolve ref for \w+:",
        "The host knows no such repository or ref, or hides it from BinderHub's token",
        "binderhub main builder.py, BuildHandler.get",
        sure=Confidence.LIKELY,
    ),
)
"""What a launch ends with by its link alone: of a cluster it says nothing."""
INOTIFY = re.compile(
    r"failed to create fsnotify watcher: too many open files|inotify_init1?: too many open files|"
    r"inotify (?:instance|watch) limit reached",
    re.IGNORECASE,
)
"""watchdog 7.1.0 observers/inotify_c.py, _raise_error; as recorded: kubernetes and docker."""
UNSTARTED = re.compile(r"Unhandled error starting \S+'s server")
"""jupyterhub 6.1.1 user.py, User.spawn."""
REFUSED = re.compile(
    r'"message":"(?:Pod|pods) .*(?:forbidden|disallowed|violates|denied the request)|'
    r"admission webhook .* denied the request",
    re.IGNORECASE,
)
"""The API's answer, put beneath that line by kubernetes_asyncio 36.1.0 client/exceptions.py, ApiException."""
STOPPING = re.compile(r"server is in the process of stopping, please wait", re.IGNORECASE)
"""jupyterhub 6.1.1 apihandlers/users.py, UserAPIHandler.delete."""
LATE = re.compile(r"(?:did not start|failed to start) in (\d+) seconds", re.IGNORECASE)
"""jupyterhub 6.1.1 user.py, User.spawn; kubespawner 7.1.0 spawner.py."""


PASSING = re.compile(
    r"(?:upstream|client) prematurely closed connection|closed keepalive connection|"
    r"SSL_do_handshake\(\) failed .* while SSL handshaking|the object has been modified; please apply your changes"
)
"""What is told of single connections that ended, and of two who wrote at once, of whom one tries again.

nginx 1.28 src/http/ngx_http_upstream.c and ngx_http_request.c; kubernetes apiserver registry/generic/registry/store.go.
"""


def is_known(line: str, component: str) -> bool:
    """Whether something here knows it, in a log of that component."""
    patterns = (INOTIFY, UNSTARTED, REFUSED, STOPPING, LATE, PASSING)
    lines = (known.pattern for known in (*HUB, *OTHERS) if known.told_by(component))
    return any(one.search(line) for one in (*patterns, *lines))
