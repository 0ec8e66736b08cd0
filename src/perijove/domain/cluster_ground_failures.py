"""The rows of the catalogue for what a hub on Kubernetes stands on: volumes, nodes, network. Pure."""

from __future__ import annotations

from perijove.domain.failures import Retry, operator_row

# volumes
PVC_NO_STORAGECLASS = operator_row(
    "cluster.pvc-no-storageclass", "A volume claim names no storage class, and none is the default",
    "Put right what explains it, then make the claim anew.",
)  # fmt: skip
NO_DEFAULT_STORAGECLASS = operator_row(
    "cluster.no-default-storageclass", "The cluster has no default storage class",
    "Mark one as the default, or install a provisioner; a Binder can do without: hub.db.type: sqlite-memory.",
)  # fmt: skip
STORAGECLASS_NOT_FOUND = operator_row(
    "cluster.storageclass-not-found", "A volume claim names a storage class that does not exist",
    "Correct the name, or make that class.",
)  # fmt: skip
PVC_NO_VOLUME = operator_row(
    "cluster.pvc-no-volume", "A volume claim finds no volume",
    "Make a volume that fits, or let a storage class make them.",
)  # fmt: skip
PROVISIONER_NOT_RUNNING = operator_row(
    "cluster.provisioner-not-running", "Nobody makes the volume that a claim waits for",
    "Look at the provisioner's pod.",
)  # fmt: skip
PROVISIONER_TOO_OLD = operator_row(
    "cluster.provisioner-too-old", "The provisioner of NFS volumes is too old for this Kubernetes",
    "Replace nfs-client-provisioner by nfs-subdir-external-provisioner 4 or newer.",
)  # fmt: skip
PVC_PROVISIONING_FAILED = operator_row(
    "cluster.pvc-provisioning-failed", "A volume could not be made",
    "Read the provisioner's words below.", Retry.BACKOFF,
)  # fmt: skip
PVC_LOST = operator_row(
    "cluster.pvc-lost", "A volume claim's volume is gone",
    "Restore the volume from a backup, or make the claim anew without its data.",
)  # fmt: skip
POD_WAITS_FOR_VOLUME = operator_row(
    "cluster.pod-waits-for-volume", "A pod waits for its volume",
    "Put right what explains it.",
)  # fmt: skip
NFS_ACCESS_DENIED = operator_row(
    "cluster.nfs-access-denied", "The NFS server refuses a node",
    "Add the node's address to the export, and run `exportfs -ra`.",
)  # fmt: skip
NFS_UNREACHABLE = operator_row(
    "cluster.nfs-unreachable", "The NFS server does not answer",
    "Start it, and open port 2049 for the nodes.", Retry.BACKOFF,
)  # fmt: skip
NFS_PATH_MISSING = operator_row(
    "cluster.nfs-path-missing", "The NFS server does not have the directory",
    "Make the directory on the server.",
)  # fmt: skip
VOLUME_MULTI_ATTACH = operator_row(
    "cluster.volume-multi-attach", "A volume is still attached to another node",
    "Delete the pod that holds it; where its node is lost, make sure that the node is off first.",
)  # fmt: skip
VOLUME_IO_ERROR = operator_row(
    "cluster.volume-io-error", "A volume's file system is damaged",
    "Unmount it and run fsck; restore it from a backup.",
)  # fmt: skip
VOLUME_MOUNT_FAILED = operator_row(
    "cluster.volume-mount-failed", "A volume cannot be mounted",
    "Read the kubelet's words below.", Retry.BACKOFF,
)  # fmt: skip
# nodes
NODE_NOT_READY = operator_row(
    "cluster.node-not-ready", "A node is not ready",
    "Look at its kubelet; `journalctl -u kubelet` says why it does not report.",
)  # fmt: skip
NODE_DISK_PRESSURE = operator_row(
    "cluster.node-disk-pressure", "A node's disk is full",
    "Free space on it: prune images and builds, shorten logs.",
)  # fmt: skip
NODE_MEMORY_PRESSURE = operator_row(
    "cluster.node-memory-pressure", "A node is short of memory",
    "Set requests that are near the limits, so that nodes are not promised twice.", Retry.BACKOFF,
)  # fmt: skip
NODE_PID_PRESSURE = operator_row(
    "cluster.node-pid-pressure", "A node is short of process ids",
    "Look for what starts so many processes; raise the limit.", Retry.BACKOFF,
)  # fmt: skip
NODE_OUT_OF_MEMORY = operator_row(
    "cluster.node-out-of-memory", "A node ran out of memory",
    "Let the sum of limits fit the node's memory, or give builds a limit.",
)  # fmt: skip
NODE_FILESYSTEM_READONLY = operator_row(
    "cluster.node-filesystem-readonly", "A node's disk has become read-only",
    "Drain the node, then repair or replace its disk.",
)  # fmt: skip
NODE_CLOCK_WRONG = operator_row(
    "cluster.node-clock-wrong", "A node's clock is wrong",
    "Have the node keep time by NTP.",
)  # fmt: skip
NODE_ADDRESSES_USED_UP = operator_row(
    "cluster.node-addresses-used-up", "The network plugin has no address left for pods of a node",
    "Free addresses that belong to no pod any more, or give the node a larger range.",
)  # fmt: skip
NODE_WITHOUT_ADDRESS = operator_row(
    "cluster.node-without-address", "A node has no internal address",
    "Drain and remove that node.",
)  # fmt: skip
NODE_NETWORK_BROKEN = operator_row(
    "cluster.node-network-broken", "Pods on a node get no network",
    "Cordon and drain the node, restart its network plugin or reboot it.",
)  # fmt: skip
# the cluster's network
KUBE_DNS_SERVICE_MISSING = operator_row(
    "cluster.kube-dns-service-missing", "The name service has no Service",
    "Run `kubeadm init phase addon coredns`, or apply the Service again.",
)  # fmt: skip
CLUSTER_NAMES_DOWN = operator_row(
    "cluster.cluster-names-down", "The cluster's name service does not run",
    "Bring its pods back.",
)  # fmt: skip
LOAD_BALANCER_PENDING = operator_row(
    "cluster.load-balancer-pending", "A LoadBalancer has no address",
    "Install MetalLB, or use a NodePort or an ingress.",
)  # fmt: skip
SERVICE_WITHOUT_PODS = operator_row(
    "cluster.service-without-pods", "A Service selects no pod",
    "Correct its selector, or bring its pods back.",
)  # fmt: skip
NETWORK_POLICY_BLOCKS_NAMES = operator_row(
    "cluster.network-policy-blocks-names", "Network policies leave no way to the name service",
    "Allow egress to port 53, UDP and TCP.",
)  # fmt: skip
INGRESS_ON_CORDONED = operator_row(
    "cluster.ingress-on-cordoned", "All ingress controllers are on cordoned nodes",
    "Uncordon a node, or move the controllers.",
)  # fmt: skip
INGRESS_WITHOUT_CLASS = operator_row(
    "cluster.ingress-without-class", "An Ingress names no class",
    "Set ingressClassName, or mark a class as the default.",
)  # fmt: skip
SITE_UNREACHABLE = operator_row(
    "cluster.site-unreachable", "The site does not answer",
    "Look at what stands between: name, firewall, front, ingress.", Retry.BACKOFF,
)  # fmt: skip
INGRESS_CLASS_UNKNOWN = operator_row(
    "cluster.ingress-class-unknown", "An ingress class is named that does not exist",
    "Name one that exists, or make that class.",
)  # fmt: skip
INGRESS_CONTROLLER_ABSENT = operator_row(
    "cluster.ingress-controller-absent", "The controller of an ingress class does not run",
    "Install that controller, or name the class of one that runs.",
)  # fmt: skip
GATEWAY_NOT_PROGRAMMED = operator_row(
    "cluster.gateway-not-programmed", "A Gateway does not serve what it names",
    "Put right what its condition says.",
)  # fmt: skip
SERVICE_MISSING = operator_row(
    "cluster.service-missing", "An Ingress leads to a Service that does not exist",
    "Name a Service that exists, or bring that one back.",
)  # fmt: skip
SERVICE_PORT_WRONG = operator_row(
    "cluster.service-port-wrong", "A Service leads to a port that is not there",
    "Correct the port.",
)  # fmt: skip
INOTIFY_EXHAUSTED = operator_row(
    "cluster.inotify-exhausted", "The inotify instances of a node are used up",
    "Raise fs.inotify.max_user_instances and max_user_watches on the nodes, and keep that in /etc/sysctl.d.",
)  # fmt: skip
API_STORE_ILL = operator_row(
    "cluster.api-store-ill", "The store of the Kubernetes API does not answer",
    "Look at etcd on the control plane: its disk, its room, its other members.",
)  # fmt: skip
NO_RULE = operator_row(
    "cluster.no-rule", "Something fails for which the doctor has no rule",
    "Read the lines. Then report them where you have Perijove from, with a recording: `perijove record kubernetes`.",
)  # fmt: skip
