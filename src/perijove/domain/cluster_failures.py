"""The rows of the catalogue for a BinderHub or a JupyterHub on Kubernetes: hub, pods, images, places. Pure."""

from __future__ import annotations

from perijove.domain.failures import Owner, Retry, row

# looking at a cluster
RECORDING_UNREADABLE = row(
    "cluster.recording-unreadable", "The recording of a cluster cannot be read",
    Owner.OPERATOR, Retry.NEVER,
    "Give a folder with what `kubectl get KIND -A -o yaml` wrote.",
)  # fmt: skip
RECORDING_UNWRITABLE = row(
    "cluster.recording-unwritable", "A recording of a cluster cannot be written there",
    Owner.OPERATOR, Retry.NEVER,
    "Name a folder that is not there yet, or an empty one.",
)  # fmt: skip
API_UNREACHABLE = row(
    "cluster.api-unreachable", "The cluster's API cannot be asked",
    Owner.OPERATOR, Retry.BACKOFF,
    "Look whether `kubectl get pods` works with the same context.",
)  # fmt: skip
CHANGE_REFUSED = row(
    "cluster.change-refused", "The cluster refuses a change",
    Owner.OPERATOR, Retry.NEVER,
    "Have somebody make it who may, by the command that is told.",
)  # fmt: skip
TOKENS_CHANGE = row(
    "cluster.tokens-change-at-restart", "A restart will bring in other tokens than those in use",
    Owner.OPERATOR, Retry.NEVER,
    "Restart hub, proxy and binder together, at a time that you choose.",
)  # fmt: skip
# the hub, and BinderHub's way to it
LAUNCHES_FAIL = row(
    "cluster.launches-fail", "BinderHub cannot have the hub start servers",
    Owner.OPERATOR, Retry.NEVER,
    "Put right what explains it.",
)  # fmt: skip
HUB_URL_WRONG_PATH = row(
    "cluster.hub-url-wrong-path", "BinderHub calls the hub below the wrong path",
    Owner.OPERATOR, Retry.NEVER,
    "Let hub_url and hub_url_local end with the hub's own base URL.",
)  # fmt: skip
ADMISSION_REFUSED = row(
    "cluster.admission-refused", "The cluster's admission control refuses pods",
    Owner.OPERATOR, Retry.NEVER,
    "Put right what its words name: the pods, or the rule that they meet.",
)  # fmt: skip
ACCOUNT_FORBIDDEN = row(
    "cluster.account-forbidden", "A service account of the charts may not do its work",
    Owner.OPERATOR, Retry.NEVER,
    "Give it the role that the charts make, with its binding.",
)  # fmt: skip
USER_COMMAND_FAILS = row(
    "cluster.user-command-fails", "A user's server ends by what its repository starts",
    Owner.AUTHOR, Retry.NEVER,
    "Correct the repository's start or postBuild, or the command that it needs.",
)  # fmt: skip
HUB_API_TLS_EXPIRED = row(
    "cluster.hub-api-tls-expired", "BinderHub calls the hub by an address whose certificate has expired",
    Owner.OPERATOR, Retry.NEVER,
    "Let BinderHub call the hub inside the cluster by hub_url_local, then have the certificate renewed.",
)  # fmt: skip
HUB_API_TLS_UNTRUSTED = row(
    "cluster.hub-api-tls-untrusted", "BinderHub does not trust the hub's certificate",
    Owner.OPERATOR, Retry.NEVER,
    "Serve the whole chain, or let BinderHub call the hub inside the cluster by hub_url_local.",
)  # fmt: skip
HUB_API_TOKEN_REFUSED = row(
    "cluster.hub-api-token-refused", "The hub refuses BinderHub's token",
    Owner.OPERATOR, Retry.NEVER,
    "Restart BinderHub so that it reads the token anew, and check that hub_url leads to this hub.",
)  # fmt: skip
HUB_API_REFUSED = row(
    "cluster.hub-api-refused", "Nothing takes BinderHub's connections to the hub",
    Owner.OPERATOR, Retry.NEVER,
    "Look whether the hub and its proxy run, and whether the address is reachable from inside the cluster.",
)  # fmt: skip
HUB_API_TIMEOUT = row(
    "cluster.hub-api-timeout", "The hub does not answer BinderHub in time",
    Owner.OPERATOR, Retry.BACKOFF,
    "Look at the hub's load and at the network between the two pods.",
)  # fmt: skip
HUB_NAME_UNRESOLVED = row(
    "cluster.hub-name-unresolved", "BinderHub cannot resolve the hub's name",
    Owner.OPERATOR, Retry.NEVER,
    "Look at the cluster's name service, and at the spelling of hub_url.",
)  # fmt: skip
HUB_URL_PLACEHOLDER = row(
    "cluster.hub-url-placeholder", "hub_url is still a placeholder",
    Owner.OPERATOR, Retry.NEVER,
    "Set config.BinderHub.hub_url to the hub's address.",
)  # fmt: skip
HUB_CRASHLOOP = row(
    "cluster.hub-crashloop", "The hub starts and ends, again and again",
    Owner.OPERATOR, Retry.NEVER,
    "Read its last words with `kubectl logs --previous`.",
)  # fmt: skip
HUB_DB_SCHEMA_OLD = row(
    "cluster.hub-db-schema-old", "The hub's database has the schema of an older JupyterHub",
    Owner.OPERATOR, Retry.NEVER,
    "Back up the database, then set hub.db.upgrade: true and run helm upgrade.",
)  # fmt: skip
HUB_DB_LOCKED = row(
    "cluster.hub-db-locked", "The hub's database is locked",
    Owner.OPERATOR, Retry.NEVER,
    "Keep SQLite on a local volume, or use PostgreSQL; make sure that one hub alone runs.",
)  # fmt: skip
HUB_DB_UNWRITABLE = row(
    "cluster.hub-db-unwritable", "The hub cannot write its database",
    Owner.OPERATOR, Retry.NEVER,
    "Look at the volume of hub-db-dir: its room, its mount, whose its files are.",
)  # fmt: skip
PROXY_TOKEN_MISMATCH = row(
    "cluster.proxy-token-mismatch", "The proxy has another token than the hub",
    Owner.OPERATOR, Retry.NEVER,
    "Restart the proxy, so that both read the same Secret.",
)  # fmt: skip
HUB_SERVICE_UNREACHABLE = row(
    "cluster.hub-service-unreachable", "A service that the hub manages does not answer",
    Owner.OPERATOR, Retry.NEVER,
    "Repair that service, or let it run by itself.",
)  # fmt: skip
HUB_THREADS_EXHAUSTED = row(
    "cluster.hub-threads-exhausted", "The hub can start no more threads",
    Owner.OPERATOR, Retry.BACKOFF,
    "Upgrade it, or raise the limit of processes.",
)  # fmt: skip
HUB_GAVE_UP = row(
    "cluster.hub-gave-up", "The hub ended itself after failing spawns",
    Owner.OPERATOR, Retry.NEVER,
    "Find out why servers do not start; this only follows.",
)  # fmt: skip
HUB_NOT_READY = row(
    "cluster.hub-not-ready", "A part of the hub runs and is not ready",
    Owner.OPERATOR, Retry.BACKOFF,
    "Look at its log and at its readiness probe.",
)  # fmt: skip
HUB_CANNOT_REACH_API = row(
    "cluster.hub-cannot-reach-api", "The hub cannot reach the Kubernetes API",
    Owner.OPERATOR, Retry.NEVER,
    "Allow egress to the API server in hub.networkPolicy.egress.",
)  # fmt: skip
REFLECTOR_LOST = row(
    "cluster.reflector-lost", "The hub does not see pods that are running",
    Owner.OPERATOR, Retry.NEVER,
    "Restart the hub.",
)  # fmt: skip
USER_POD_CANNOT_REACH_HUB = row(
    "cluster.user-pod-cannot-reach-hub", "Servers cannot reach the hub",
    Owner.OPERATOR, Retry.NEVER,
    "Look at network policies and name resolution of users' pods.",
)  # fmt: skip
SERVER_UNANSWERED = row(
    "cluster.server-unanswered", "The hub gets no answer from servers that were started",
    Owner.OPERATOR, Retry.NEVER,
    "Look whether network policies let the hub to the servers' port, and whether a server's log says that it listens.",
)  # fmt: skip
XSRF_REFUSED = row(
    "cluster.xsrf-refused", "The hub refuses forms for their XSRF cookie",
    Owner.OPERATOR, Retry.NEVER,
    "Have every proxy forward the visitor's address, and JupyterHub be 4.1.3 or newer.",
)  # fmt: skip
QUOTA_FULL = row(
    "cluster.quota-full", "BinderHub's own quota is full",
    Owner.OPERATOR, Retry.BACKOFF,
    "Raise total_quota or per_repo_quota, or stop idle servers.",
)  # fmt: skip
SPAWN_LIMIT = row(
    "cluster.spawn-limit", "Too many servers are starting at once",
    Owner.OPERATOR, Retry.BACKOFF,
    "Find out what the starting servers wait for.",
)  # fmt: skip
GITHUB_RATE_LIMITED = row(
    "cluster.github-rate-limited", "GitHub answers BinderHub no more for a while",
    Owner.OPERATOR, Retry.AFTER,
    "Wait; where none is set, GitHubRepoProvider.access_token raises the limit from 60 to 5000 an hour.",
)  # fmt: skip
CA_BUNDLE_MISSING = row(
    "cluster.ca-bundle-missing", "BinderHub finds no CA certificates",
    Owner.OPERATOR, Retry.NEVER,
    "Use an image with ca-certificates, or set CURL_CA_BUNDLE to where they are.",
)  # fmt: skip
# pods
POD_CRASHLOOP = row(
    "cluster.pod-crashloop", "A pod starts and ends, again and again",
    Owner.OPERATOR, Retry.NEVER,
    "Read its last words with `kubectl logs --previous`.",
)  # fmt: skip
CONTAINER_OUT_OF_MEMORY = row(
    "cluster.container-out-of-memory", "A container was killed for want of memory",
    Owner.OPERATOR, Retry.NEVER,
    "Raise its memory limit, or have it need less.",
)  # fmt: skip
CONTAINER_START_FAILED = row(
    "cluster.container-start-failed", "A container cannot be started",
    Owner.OPERATOR, Retry.NEVER,
    "Correct the command, or what hides it.",
)  # fmt: skip
MOUNT_OBJECT_MISSING = row(
    "cluster.mount-object-missing", "A Secret or ConfigMap that a pod needs does not exist",
    Owner.OPERATOR, Retry.NEVER,
    "Create it in the pod's namespace, or take it out of the configuration.",
)  # fmt: skip
POD_STUCK_TERMINATING = row(
    "cluster.pod-stuck-terminating", "A pod has been terminating for long",
    Owner.OPERATOR, Retry.NEVER,
    "Make sure that its node is off before you force its deletion.",
)  # fmt: skip
PODS_EVICTED = row(
    "cluster.pods-evicted", "Pods were evicted",
    Owner.OPERATOR, Retry.NEVER,
    "Free the resource that the node lacked, then delete the pods that are left as Failed.",
)  # fmt: skip
POD_STORAGE_LIMIT = row(
    "cluster.pod-storage-limit", "Pods were evicted for writing more than they may",
    Owner.OPERATOR, Retry.NEVER,
    "Raise their limit of ephemeral storage, or have them write less.",
)  # fmt: skip
LEAKED_USER_PODS = row(
    "cluster.leaked-user-pods", "Users' servers are left over",
    Owner.OPERATOR, Retry.NEVER,
    "Look whether the culler and the hub work; delete what is older than any session may be.",
)  # fmt: skip
# builds
BUILD_DOCKER_SOCKET_MISSING = row(
    "cluster.build-docker-socket-missing", "Builds wait for a Docker socket that is not there",
    Owner.OPERATOR, Retry.NEVER,
    "Put right what explains it.",
)  # fmt: skip
BUILDER_NEEDS_DOCKER = row(
    "cluster.builder-needs-docker", "Builds use the node's Docker, and the node has none",
    Owner.OPERATOR, Retry.NEVER,
    "Set imageBuilderType: dind (or pink), which brings a builder of its own.",
)  # fmt: skip
BUILD_DIND_DOWN = row(
    "cluster.build-dind-down", "The builder's daemon is not there on a node",
    Owner.OPERATOR, Retry.NEVER,
    "Bring the daemon's pod on that node back; what stands in the place of its socket is removed first.",
)  # fmt: skip
BUILD_OUT_OF_MEMORY = row(
    "cluster.build-out-of-memory", "A build was killed for want of memory",
    Owner.OPERATOR, Retry.NEVER,
    "Raise the builder's memory limit, or have the environment be solved with less.",
)  # fmt: skip
BUILD_NO_NAMES = row(
    "cluster.build-no-names", "Builds cannot resolve names",
    Owner.OPERATOR, Retry.NEVER,
    "Repair name resolution where builds run: CoreDNS, or the builder's own `--dns`.",
)  # fmt: skip
PUSH_DENIED = row(
    "cluster.push-denied", "The registry refuses the built image",
    Owner.OPERATOR, Retry.NEVER,
    "Set registry.username and registry.password, and an image_prefix that this account may write to.",
)  # fmt: skip
REGISTRY_CHECK_FAILS = row(
    "cluster.registry-check-fails", "BinderHub cannot ask the registry which images there are",
    Owner.OPERATOR, Retry.NEVER,
    "Repair registry.url, token_url and the credentials: tokens of registries end.",
)  # fmt: skip
# images
IMAGE_PULL_RATE_LIMITED = row(
    "cluster.image-pull-rate-limited", "The registry limits how often images are pulled",
    Owner.OPERATOR, Retry.AFTER,
    "Pull with an account, or from a registry of your own.",
)  # fmt: skip
DOCKERHUB_ANONYMOUS_PULLS = row(
    "cluster.dockerhub-anonymous-pulls", "Images are pulled from Docker Hub without an account",
    Owner.OPERATOR, Retry.AFTER,
    "Give the pods a pull secret: jupyterhub.imagePullSecret, and the builder's.",
)  # fmt: skip
IMAGE_PULL_UNAUTHORIZED = row(
    "cluster.image-pull-unauthorized", "The registry does not let the node pull the image",
    Owner.OPERATOR, Retry.NEVER,
    "Give the pods a pull secret for that registry.",
)  # fmt: skip
PULL_SECRET_MISSING = row(
    "cluster.pull-secret-missing", "Pods have no credentials for the registry",
    Owner.OPERATOR, Retry.NEVER,
    "Set jupyterhub.imagePullSecret.create and singleuser.image.pullSecrets.",
)  # fmt: skip
IMAGE_NOT_FOUND = row(
    "cluster.image-not-found", "The registry does not have the image",
    Owner.OPERATOR, Retry.NEVER,
    "Correct the image's name or tag; an image that was to be built has to be built again.",
)  # fmt: skip
IMAGE_OTHER_ARCHITECTURE = row(
    "cluster.image-other-architecture", "An image is made for other processors than its node's",
    Owner.OPERATOR, Retry.NEVER,
    "Keep its pods on nodes of the image's architecture, or build it for both.",
)  # fmt: skip
REGISTRY_CERTIFICATE_EXPIRED = row(
    "cluster.registry-certificate-expired", "The registry's certificate has expired",
    Owner.OPERATOR, Retry.NEVER,
    "Renew the registry's certificate.",
)  # fmt: skip
REGISTRY_PLAIN_HTTP = row(
    "cluster.registry-plain-http", "The registry speaks http, and the node expects https",
    Owner.OPERATOR, Retry.NEVER,
    "Give the registry a certificate, or allow plain http for it in the node's container runtime.",
)  # fmt: skip
REGISTRY_UNTRUSTED = row(
    "cluster.registry-untrusted", "Nodes do not trust the registry's certificate",
    Owner.OPERATOR, Retry.NEVER,
    "Install the CA on every node, or use a certificate that is trusted everywhere.",
)  # fmt: skip
REGISTRY_UNREACHABLE = row(
    "cluster.registry-unreachable", "Nodes cannot reach the registry",
    Owner.OPERATOR, Retry.BACKOFF,
    "Look at the nodes' name resolution, proxy and firewall.",
)  # fmt: skip
IMAGE_PULL_FAILED = row(
    "cluster.image-pull-failed", "An image cannot be pulled",
    Owner.OPERATOR, Retry.BACKOFF,
    "Read the runtime's words below.",
)  # fmt: skip
IMAGE_PULL_SLOW = row(
    "cluster.image-pull-slow", "An image takes long to pull",
    Owner.OPERATOR, Retry.BACKOFF,
    "Raise KubeSpawner.start_timeout, have smaller images, or a registry nearby.",
)  # fmt: skip
# places on nodes
POD_UNSCHEDULABLE_MEMORY = row(
    "cluster.pod-unschedulable-memory", "A pod finds no node with the memory that it asks for",
    Owner.OPERATOR, Retry.NEVER,
    "Put right what explains it.",
)  # fmt: skip
POD_UNSCHEDULABLE_CPU = row(
    "cluster.pod-unschedulable-cpu", "A pod finds no node with the CPU that it asks for",
    Owner.OPERATOR, Retry.NEVER,
    "Put right what explains it.",
)  # fmt: skip
POD_UNSCHEDULABLE_RESOURCE = row(
    "cluster.pod-unschedulable-resource", "A pod finds no node with what it asks for",
    Owner.OPERATOR, Retry.NEVER,
    "Put right what explains it.",
)  # fmt: skip
REQUEST_LARGER_THAN_ANY_NODE = row(
    "cluster.request-larger-than-any-node", "A pod asks for more than any node has",
    Owner.OPERATOR, Retry.NEVER,
    "Lower the request below what a node can allocate, or add a larger node.",
)  # fmt: skip
POD_UNSCHEDULABLE_FULL = row(
    "cluster.pod-unschedulable-full", "The nodes are full",
    Owner.OPERATOR, Retry.BACKOFF,
    "Add a node, stop idle servers, or lower the launch quota.",
)  # fmt: skip
NO_SCHEDULER = row(
    "cluster.no-scheduler", "No scheduler has looked at a pod",
    Owner.OPERATOR, Retry.NEVER,
    "Bring the scheduler back that the pod names.",
)  # fmt: skip
NODE_POD_LIMIT = row(
    "cluster.node-pod-limit", "Nodes have as many pods as they may",
    Owner.OPERATOR, Retry.NEVER,
    "Raise the kubelet's maxPods, or add a node.",
)  # fmt: skip
NODES_CORDONED = row(
    "cluster.nodes-cordoned", "Nodes are cordoned",
    Owner.OPERATOR, Retry.NEVER,
    "Uncordon a node once its maintenance is over.",
)  # fmt: skip
NODE_SELECTOR_MISMATCH = row(
    "cluster.node-selector-mismatch", "No node has the labels that a pod asks for",
    Owner.OPERATOR, Retry.NEVER,
    "Correct the labels of the nodes, or the nodeSelector.",
)  # fmt: skip
TAINT_UNTOLERATED = row(
    "cluster.taint-untolerated", "No node without a taint that a pod does not tolerate",
    Owner.OPERATOR, Retry.NEVER,
    "Give the pods the toleration.",
)  # fmt: skip
VOLUME_ON_OTHER_NODE = row(
    "cluster.volume-on-other-node", "A pod's volume is bound to a node that cannot take the pod",
    Owner.OPERATOR, Retry.NEVER,
    "Bring that node back, or move the volume's data.",
)  # fmt: skip
HOOK_IMAGE_PULLER_STUCK = row(
    "cluster.hook-image-puller-stuck", "The image puller of helm upgrade cannot finish on a node",
    Owner.OPERATOR, Retry.NEVER,
    "Uncordon or remove that node, or set prePuller.hook.enabled: false.",
)  # fmt: skip
PLACEHOLDERS_PENDING = row(
    "cluster.placeholders-pending", "All placeholders wait for room",
    Owner.OPERATOR, Retry.BACKOFF,
    "Raise the node limit, or have more placeholders before a rush.",
)  # fmt: skip
RESOURCE_QUOTA_EXCEEDED = row(
    "cluster.resource-quota-exceeded", "A quota of the namespace forbids new pods",
    Owner.OPERATOR, Retry.NEVER,
    "Raise the ResourceQuota, or remove what uses it up.",
)  # fmt: skip
RESOURCE_QUOTA_MISCOUNTED = row(
    "cluster.resource-quota-miscounted", "A ResourceQuota counts what is not there",
    Owner.OPERATOR, Retry.NEVER,
    "Delete the ResourceQuota object; what made it makes it anew with a right count.",
)  # fmt: skip
