"""The rows of the catalogue for a BinderHub or a JupyterHub on Kubernetes: hub, pods, images, places. Pure."""

from __future__ import annotations

from perijove.domain.failures import Retry, author_row, operator_row

# looking at a cluster
RECORDING_UNREADABLE = operator_row(
    "cluster.recording-unreadable", "The recording of a cluster cannot be read",
    "Give a folder with what `kubectl get KIND -A -o yaml` wrote.",
)  # fmt: skip
RECORDING_UNWRITABLE = operator_row(
    "cluster.recording-unwritable", "A recording of a cluster cannot be written there",
    "Name a folder that is not there yet, or an empty one.",
)  # fmt: skip
API_UNREACHABLE = operator_row(
    "cluster.api-unreachable", "The cluster's API cannot be asked",
    "Look whether `kubectl get pods` works with the same context.", Retry.BACKOFF,
)  # fmt: skip
CHANGE_REFUSED = operator_row(
    "cluster.change-refused", "The cluster refuses a change",
    "Have somebody make it who may, by the command that is told.",
)  # fmt: skip
TOKENS_CHANGE = operator_row(
    "cluster.tokens-change-at-restart", "A restart will bring in other tokens than those in use",
    "Restart hub, proxy and binder together, at a time that you choose.",
)  # fmt: skip
# the hub, and BinderHub's way to it
LAUNCHES_FAIL = operator_row(
    "cluster.launches-fail", "BinderHub cannot have the hub start servers",
    "Put right what explains it.",
)  # fmt: skip
HUB_URL_WRONG_PATH = operator_row(
    "cluster.hub-url-wrong-path", "BinderHub calls the hub below the wrong path",
    "Let hub_url and hub_url_local end with the hub's own base URL.",
)  # fmt: skip
ADMISSION_REFUSED = operator_row(
    "cluster.admission-refused", "The cluster's admission control refuses pods",
    "Put right what its words name: the pods, or the rule that they meet.",
)  # fmt: skip
ACCOUNT_FORBIDDEN = operator_row(
    "cluster.account-forbidden", "A service account of the charts may not do its work",
    "Give it the role that the charts make, with its binding.",
)  # fmt: skip
USER_COMMAND_FAILS = author_row(
    "cluster.user-command-fails", "A user's server ends by what its repository starts",
    "Correct the repository's start or postBuild, or the command that it needs.",
)  # fmt: skip
HUB_API_TLS_EXPIRED = operator_row(
    "cluster.hub-api-tls-expired", "BinderHub calls the hub by an address whose certificate has expired",
    "Let BinderHub call the hub inside the cluster by hub_url_local, then have the certificate renewed.",
)  # fmt: skip
HUB_API_TLS_UNTRUSTED = operator_row(
    "cluster.hub-api-tls-untrusted", "BinderHub does not trust the hub's certificate",
    "Serve the whole chain, or let BinderHub call the hub inside the cluster by hub_url_local.",
)  # fmt: skip
HUB_API_TOKEN_REFUSED = operator_row(
    "cluster.hub-api-token-refused", "The hub refuses BinderHub's token",
    "Restart BinderHub so that it reads the token anew, and check that hub_url leads to this hub.",
)  # fmt: skip
HUB_API_REFUSED = operator_row(
    "cluster.hub-api-refused", "Nothing takes BinderHub's connections to the hub",
    "Look whether the hub and its proxy run, and whether the address is reachable from inside the cluster.",
)  # fmt: skip
HUB_API_TIMEOUT = operator_row(
    "cluster.hub-api-timeout", "The hub does not answer BinderHub in time",
    "Look at the hub's load and at the network between the two pods.", Retry.BACKOFF,
)  # fmt: skip
HUB_NAME_UNRESOLVED = operator_row(
    "cluster.hub-name-unresolved", "BinderHub cannot resolve the hub's name",
    "Look at the cluster's name service, and at the spelling of hub_url.",
)  # fmt: skip
HUB_URL_PLACEHOLDER = operator_row(
    "cluster.hub-url-placeholder", "hub_url is still a placeholder",
    "Set config.BinderHub.hub_url to the hub's address.",
)  # fmt: skip
HUB_CRASHLOOP = operator_row(
    "cluster.hub-crashloop", "The hub starts and ends, again and again",
    "Read its last words with `kubectl logs --previous`.",
)  # fmt: skip
HUB_DB_SCHEMA_OLD = operator_row(
    "cluster.hub-db-schema-old", "The hub's database has the schema of an older JupyterHub",
    "Back up the database, then set hub.db.upgrade: true and run helm upgrade.",
)  # fmt: skip
HUB_DB_LOCKED = operator_row(
    "cluster.hub-db-locked", "The hub's database is locked",
    "Keep SQLite on a local volume, or use PostgreSQL; make sure that one hub alone runs.",
)  # fmt: skip
HUB_DB_UNWRITABLE = operator_row(
    "cluster.hub-db-unwritable", "The hub cannot write its database",
    "Look at the volume of hub-db-dir: its room, its mount, whose its files are.",
)  # fmt: skip
PROXY_TOKEN_MISMATCH = operator_row(
    "cluster.proxy-token-mismatch", "The proxy has another token than the hub",
    "Restart the proxy, so that both read the same Secret.",
)  # fmt: skip
HUB_SERVICE_UNREACHABLE = operator_row(
    "cluster.hub-service-unreachable", "A service that the hub manages does not answer",
    "Repair that service, or let it run by itself.",
)  # fmt: skip
HUB_THREADS_EXHAUSTED = operator_row(
    "cluster.hub-threads-exhausted", "The hub can start no more threads",
    "Upgrade it, or raise the limit of processes.", Retry.BACKOFF,
)  # fmt: skip
HUB_GAVE_UP = operator_row(
    "cluster.hub-gave-up", "The hub ended itself after failing spawns",
    "Find out why servers do not start; this only follows.",
)  # fmt: skip
HUB_NOT_READY = operator_row(
    "cluster.hub-not-ready", "A part of the hub runs and is not ready",
    "Look at its log and at its readiness probe.", Retry.BACKOFF,
)  # fmt: skip
HUB_CANNOT_REACH_API = operator_row(
    "cluster.hub-cannot-reach-api", "The hub cannot reach the Kubernetes API",
    "Allow egress to the API server in hub.networkPolicy.egress.",
)  # fmt: skip
REFLECTOR_LOST = operator_row(
    "cluster.reflector-lost", "The hub does not see pods that are running",
    "Restart the hub.",
)  # fmt: skip
USER_POD_CANNOT_REACH_HUB = operator_row(
    "cluster.user-pod-cannot-reach-hub", "Servers cannot reach the hub",
    "Look at network policies and name resolution of users' pods.",
)  # fmt: skip
SERVER_UNANSWERED = operator_row(
    "cluster.server-unanswered", "The hub gets no answer from servers that were started",
    "Look whether network policies let the hub to the servers' port, and whether a server's log says that it listens.",
)  # fmt: skip
XSRF_REFUSED = operator_row(
    "cluster.xsrf-refused", "The hub refuses forms for their XSRF cookie",
    "Have every proxy forward the visitor's address, and JupyterHub be 4.1.3 or newer.",
)  # fmt: skip
QUOTA_FULL = operator_row(
    "cluster.quota-full", "BinderHub's own quota is full",
    "Raise total_quota or per_repo_quota, or stop idle servers.", Retry.BACKOFF,
)  # fmt: skip
SPAWN_LIMIT = operator_row(
    "cluster.spawn-limit", "Too many servers are starting at once",
    "Find out what the starting servers wait for.", Retry.BACKOFF,
)  # fmt: skip
GITHUB_RATE_LIMITED = operator_row(
    "cluster.github-rate-limited", "GitHub answers BinderHub no more for a while",
    "Wait; where none is set, GitHubRepoProvider.access_token raises the limit from 60 to 5000 an hour.", Retry.AFTER,
)  # fmt: skip
CA_BUNDLE_MISSING = operator_row(
    "cluster.ca-bundle-missing", "BinderHub finds no CA certificates",
    "Use an image with ca-certificates, or set CURL_CA_BUNDLE to where they are.",
)  # fmt: skip
# pods
POD_CRASHLOOP = operator_row(
    "cluster.pod-crashloop", "A pod starts and ends, again and again",
    "Read its last words with `kubectl logs --previous`.",
)  # fmt: skip
CONTAINER_OUT_OF_MEMORY = operator_row(
    "cluster.container-out-of-memory", "A container was killed for want of memory",
    "Raise its memory limit, or have it need less.",
)  # fmt: skip
CONTAINER_START_FAILED = operator_row(
    "cluster.container-start-failed", "A container cannot be started",
    "Correct the command, or what hides it.",
)  # fmt: skip
MOUNT_OBJECT_MISSING = operator_row(
    "cluster.mount-object-missing", "A Secret or ConfigMap that a pod needs does not exist",
    "Create it in the pod's namespace, or take it out of the configuration.",
)  # fmt: skip
POD_STUCK_TERMINATING = operator_row(
    "cluster.pod-stuck-terminating", "A pod has been terminating for long",
    "Make sure that its node is off before you force its deletion.",
)  # fmt: skip
PODS_EVICTED = operator_row(
    "cluster.pods-evicted", "Pods were evicted",
    "Free the resource that the node lacked, then delete the pods that are left as Failed.",
)  # fmt: skip
POD_STORAGE_LIMIT = operator_row(
    "cluster.pod-storage-limit", "Pods were evicted for writing more than they may",
    "Raise their limit of ephemeral storage, or have them write less.",
)  # fmt: skip
LEAKED_USER_PODS = operator_row(
    "cluster.leaked-user-pods", "Users' servers are left over",
    "Look whether the culler and the hub work; delete what is older than any session may be.",
)  # fmt: skip
# builds
BUILD_DOCKER_SOCKET_MISSING = operator_row(
    "cluster.build-docker-socket-missing", "Builds wait for a Docker socket that is not there",
    "Put right what explains it.",
)  # fmt: skip
BUILDER_NEEDS_DOCKER = operator_row(
    "cluster.builder-needs-docker", "Builds use the node's Docker, and the node has none",
    "Set imageBuilderType: dind (or pink), which brings a builder of its own.",
)  # fmt: skip
BUILD_DIND_DOWN = operator_row(
    "cluster.build-dind-down", "The builder's daemon is not there on a node",
    "Bring the daemon's pod on that node back; what stands in the place of its socket is removed first.",
)  # fmt: skip
BUILD_OUT_OF_MEMORY = operator_row(
    "cluster.build-out-of-memory", "A build was killed for want of memory",
    "Raise the builder's memory limit, or have the environment be solved with less.",
)  # fmt: skip
BUILD_NO_NAMES = operator_row(
    "cluster.build-no-names", "Builds cannot resolve names",
    "Repair name resolution where builds run: CoreDNS, or the builder's own `--dns`.",
)  # fmt: skip
PUSH_DENIED = operator_row(
    "cluster.push-denied", "The registry refuses the built image",
    "Set registry.username and registry.password, and an image_prefix that this account may write to.",
)  # fmt: skip
REGISTRY_CHECK_FAILS = operator_row(
    "cluster.registry-check-fails", "BinderHub cannot ask the registry which images there are",
    "Repair registry.url, token_url and the credentials: tokens of registries end.",
)  # fmt: skip
# images
IMAGE_PULL_RATE_LIMITED = operator_row(
    "cluster.image-pull-rate-limited", "The registry limits how often images are pulled",
    "Pull with an account, or from a registry of your own.", Retry.AFTER,
)  # fmt: skip
DOCKERHUB_ANONYMOUS_PULLS = operator_row(
    "cluster.dockerhub-anonymous-pulls", "Images are pulled from Docker Hub without an account",
    "Give the pods a pull secret: jupyterhub.imagePullSecret, and the builder's.", Retry.AFTER,
)  # fmt: skip
IMAGE_PULL_UNAUTHORIZED = operator_row(
    "cluster.image-pull-unauthorized", "The registry does not let the node pull the image",
    "Give the pods a pull secret for that registry.",
)  # fmt: skip
PULL_SECRET_MISSING = operator_row(
    "cluster.pull-secret-missing", "Pods have no credentials for the registry",
    "Set jupyterhub.imagePullSecret.create and singleuser.image.pullSecrets.",
)  # fmt: skip
IMAGE_NOT_FOUND = operator_row(
    "cluster.image-not-found", "The registry does not have the image",
    "Correct the image's name or tag; an image that was to be built has to be built again.",
)  # fmt: skip
IMAGE_OTHER_ARCHITECTURE = operator_row(
    "cluster.image-other-architecture", "An image is made for other processors than its node's",
    "Keep its pods on nodes of the image's architecture, or build it for both.",
)  # fmt: skip
REGISTRY_CERTIFICATE_EXPIRED = operator_row(
    "cluster.registry-certificate-expired", "The registry's certificate has expired",
    "Renew the registry's certificate.",
)  # fmt: skip
REGISTRY_PLAIN_HTTP = operator_row(
    "cluster.registry-plain-http", "The registry speaks http, and the node expects https",
    "Give the registry a certificate, or allow plain http for it in the node's container runtime.",
)  # fmt: skip
REGISTRY_UNTRUSTED = operator_row(
    "cluster.registry-untrusted", "Nodes do not trust the registry's certificate",
    "Install the CA on every node, or use a certificate that is trusted everywhere.",
)  # fmt: skip
REGISTRY_UNREACHABLE = operator_row(
    "cluster.registry-unreachable", "Nodes cannot reach the registry",
    "Look at the nodes' name resolution, proxy and firewall.", Retry.BACKOFF,
)  # fmt: skip
IMAGE_PULL_FAILED = operator_row(
    "cluster.image-pull-failed", "An image cannot be pulled",
    "Read the runtime's words below.", Retry.BACKOFF,
)  # fmt: skip
IMAGE_PULL_SLOW = operator_row(
    "cluster.image-pull-slow", "An image takes long to pull",
    "Raise KubeSpawner.start_timeout, have smaller images, or a registry nearby.", Retry.BACKOFF,
)  # fmt: skip
# places on nodes
POD_UNSCHEDULABLE_MEMORY = operator_row(
    "cluster.pod-unschedulable-memory", "A pod finds no node with the memory that it asks for",
    "Put right what explains it.",
)  # fmt: skip
POD_UNSCHEDULABLE_CPU = operator_row(
    "cluster.pod-unschedulable-cpu", "A pod finds no node with the CPU that it asks for",
    "Put right what explains it.",
)  # fmt: skip
POD_UNSCHEDULABLE_RESOURCE = operator_row(
    "cluster.pod-unschedulable-resource", "A pod finds no node with what it asks for",
    "Put right what explains it.",
)  # fmt: skip
REQUEST_LARGER_THAN_ANY_NODE = operator_row(
    "cluster.request-larger-than-any-node", "A pod asks for more than any node has",
    "Lower the request below what a node can allocate, or add a larger node.",
)  # fmt: skip
POD_UNSCHEDULABLE_FULL = operator_row(
    "cluster.pod-unschedulable-full", "The nodes are full",
    "Add a node, stop idle servers, or lower the launch quota.", Retry.BACKOFF,
)  # fmt: skip
NO_SCHEDULER = operator_row(
    "cluster.no-scheduler", "No scheduler has looked at a pod",
    "Bring the scheduler back that the pod names.",
)  # fmt: skip
NODE_POD_LIMIT = operator_row(
    "cluster.node-pod-limit", "Nodes have as many pods as they may",
    "Raise the kubelet's maxPods, or add a node.",
)  # fmt: skip
NODES_CORDONED = operator_row(
    "cluster.nodes-cordoned", "Nodes are cordoned",
    "Uncordon a node once its maintenance is over.",
)  # fmt: skip
NODE_SELECTOR_MISMATCH = operator_row(
    "cluster.node-selector-mismatch", "No node has the labels that a pod asks for",
    "Correct the labels of the nodes, or the nodeSelector.",
)  # fmt: skip
TAINT_UNTOLERATED = operator_row(
    "cluster.taint-untolerated", "No node without a taint that a pod does not tolerate",
    "Give the pods the toleration.",
)  # fmt: skip
VOLUME_ON_OTHER_NODE = operator_row(
    "cluster.volume-on-other-node", "A pod's volume is bound to a node that cannot take the pod",
    "Bring that node back, or move the volume's data.",
)  # fmt: skip
HOOK_IMAGE_PULLER_STUCK = operator_row(
    "cluster.hook-image-puller-stuck", "The image puller of helm upgrade cannot finish on a node",
    "Uncordon or remove that node, or set prePuller.hook.enabled: false.",
)  # fmt: skip
PLACEHOLDERS_PENDING = operator_row(
    "cluster.placeholders-pending", "All placeholders wait for room",
    "Raise the node limit, or have more placeholders before a rush.", Retry.BACKOFF,
)  # fmt: skip
RESOURCE_QUOTA_EXCEEDED = operator_row(
    "cluster.resource-quota-exceeded", "A quota of the namespace forbids new pods",
    "Raise the ResourceQuota, or remove what uses it up.",
)  # fmt: skip
RESOURCE_QUOTA_MISCOUNTED = operator_row(
    "cluster.resource-quota-miscounted", "A ResourceQuota counts what is not there",
    "Delete the ResourceQuota object; what made it makes it anew with a right count.",
)  # fmt: skip
