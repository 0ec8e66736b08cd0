"""The rows of the catalogue for Kubernetes clusters with a BinderHub or a JupyterHub in them. Pure; see `failures`."""

from __future__ import annotations

from perijove.domain.failures import Owner, Retry, row

# looking at a cluster
RECORDING_UNREADABLE = row(
    "cluster.recording-unreadable", "The recording of a cluster cannot be read",
    Owner.OPERATOR, Retry.NEVER,
    "Give a folder with what `kubectl get KIND -A -o yaml` wrote.",
)  # fmt: skip
