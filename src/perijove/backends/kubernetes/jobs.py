"""What is a run of foreign code as a Job? In: the run, its image, the operator's terms. Out: manifests. Pure.

Its pod is one of the *restricted* profile, as a session's. It runs the command once, and waits for what it wrote to be
fetched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perijove.backends.kubernetes import in_job, in_pod, manifests
from perijove.backends.kubernetes.manifests import Json, Owner, Terms
from perijove.domain.nouns import ForeignRun
from perijove.domain.sizes import inodes
from perijove.launching.start.sandbox import HOME

BATCH = "/apis/batch"
BUILD = "perijove/build"
"""Label: the name of the run."""
JOB = "perijove/job"
"""Label of its pod: the Job's name."""
HANDED = "/run/perijove-handed"
"""A volume: what is handed over is packed there."""
OWN = 64 * 1024**2
"""Bytes of memory for those who start it and pack what it wrote."""
WAITS, FETCH = 300, 600
"""Seconds that it waits to be fetched, and that this may take."""
KEPT = 300
"""Seconds after which the cluster removes what has ended, where we do not."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROGRAM = Path(in_job.__file__).read_text()


def job(run: ForeignRun, name: str, image: str, terms: Terms) -> Json:
    labels = {manifests.COMPONENT: "build", BUILD: run.name, manifests.EGRESS: manifests.egress_key(run)}
    pod: Json = {
        **manifests.placed(terms), "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
        "containers": [_container(run, name, image, terms)],
        "volumes": [*manifests.volumes(run.limits), {"name": "handed", "emptyDir": {}}],
    }  # fmt: skip
    # The seconds that it may take are counted here; the cluster's end for it is for when nobody is.
    of_pod = manifests.metadata(name, terms, {**labels, JOB: name}, None)["labels"]
    deadline = int(terms.start_limit + run.timeout + FETCH + WAITS)
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": manifests.metadata(name, terms, labels, terms.owner),
        "spec": {
            "backoffLimit": 0, "activeDeadlineSeconds": deadline, "ttlSecondsAfterFinished": KEPT,
            "template": {"metadata": {"labels": of_pod, "annotations": {**manifests.STAYS}}, "spec": pod},
        },
    }  # fmt: skip


def _container(run: ForeignRun, name: str, image: str, terms: Terms) -> Json:
    limits = run.limits
    told = {
        "command": run.command, "overlays": [str(one.target) for one in run.overlays], "into": HANDED,
        "result": "" if run.layers else run.result, "size": limits.disk, "files": inodes(limits.disk),
    }  # fmt: skip
    python = ("/usr/bin/env", f"PATH={PATH}", "python3", "-Ic")
    words = (f"files={terms.port}", f"folder={HANDED}", f"stay={WAITS}", f"limit={FETCH}", "waits=1")
    # What it wrote lies there twice while it is handed over.
    disk = f"{2 * limits.disk + limits.tmp}"
    sure, cpus = (manifests.milli(cpus) for cpus in (min(terms.cpu_request, limits.cpus), limits.cpus))
    most = {"memory": f"{limits.memory + OWN}", "cpu": cpus, "ephemeral-storage": disk}
    return {
        "name": manifests.SERVER, "image": image, "imagePullPolicy": "IfNotPresent",
        "command": [*python, manifests.RUN, *words, "--", *python, PROGRAM, json.dumps(told)],
        "workingDir": HOME,
        "envFrom": [{"secretRef": {"name": name}}],
        "ports": [{"name": "http", "containerPort": terms.port}],
        "resources": {"requests": {**most, "cpu": sure}, "limits": most},
        "securityContext": manifests.CONFINED,
        "volumeMounts": [*manifests.MOUNTS, {"name": "handed", "mountPath": HANDED}],
    }  # fmt: skip


def variables(run: ForeignRun, made: Mapping[str, Any], token: str, terms: Terms) -> Json:
    """The Secret with its variables, and with the token by which its result is fetched; gone with the Job."""
    name = str(made["metadata"]["name"])
    owner = Owner("batch/v1", "Job", name, str(made["metadata"]["uid"]))
    told = {in_job.VARIABLES: json.dumps(dict(run.environ)), **manifests.TEXTS, in_pod.TOKEN: token}
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": True,
        "metadata": manifests.metadata(name, terms, {manifests.COMPONENT: "build", BUILD: run.name}, owner),
        "stringData": told,
    }  # fmt: skip
