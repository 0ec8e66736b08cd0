"""What a session's sandbox is, from the settings, the environment and the repository. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from perijove.domain.listening import MARK, own_url
from perijove.domain.nouns import Checkout, Environment, Limits, ResolvedRepo, SandboxSpec, SessionName, ref_url
from perijove.domain.settings import Settings

HOME = "/home/jovyan"
THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMEXPR_MAX_THREADS"),
    *("NUMBA_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "LOKY_MAX_CPU_COUNT", "PYTHON_CPU_COUNT"),
)
"""What libraries ask for how many threads to start; they count the machine's processors otherwise."""


def session_name(repo_name: str, suffix: str) -> SessionName:
    """`<slug>-<suffix>`, at most 40 characters of `[a-z0-9-]`; two hyphens follow each other in `suffix` alone."""
    slug = re.sub(r"[^a-z0-9]+", "-", repo_name.lower()).strip("-")[: 39 - len(suffix)].strip("-")
    return f"{slug or 'session'}-{suffix}"


def session_label(labels: Sequence[str], live: Iterable[SessionName], number: int) -> str:
    """Which of the hosts a new session gets: the one with the fewest sessions.

    Among those it goes round with the launches' numbers, so that a host is used again as late as possible: what an
    old session left in a browser is still there for the next one at its host.
    """
    taken = Counter(name.partition(MARK)[2] for name in live)
    begin = number % len(labels)
    return min((*labels[begin:], *labels[:begin]), key=lambda label: taken[label])


def limits(settings: Settings) -> Limits:
    """What one session may use."""
    session = settings.session
    return Limits(session.memory, session.cpus, session.processes, session.disk, session.tmp)


def sandbox(
    name: SessionName, token: str, checkout: Checkout, environment: Environment, settings: Settings
) -> SandboxSpec:
    """A session's sandbox, in full."""
    options = [
        f"--ServerApp.base_url=/user/{name}/",
        "--ServerApp.allow_remote_access=True",
        "--ServerApp.trust_xheaders=True",
        f"--ServerApp.root_dir={HOME}",
    ]
    if "*" in settings.service.cors_allow_origin:
        options.append("--ServerApp.allow_origin=*")
    elif origins := "|".join(map(re.escape, settings.service.cors_allow_origin)):
        options.append(rf"--ServerApp.allow_origin_pat=(?:{origins})\Z")
    environ = {
        "HOME": HOME,
        "USER": "jovyan",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        **dict(environment.environ),
        **hub_variables(name, environment, limits(settings)),
        **binder_variables(checkout.repo, own_url(settings.service)),
        "JUPYTER_TOKEN": token,
        **({"PERIJOVE_KERNEL_AHEAD": "1"} if settings.session.kernel_ahead else {}),
    }
    return SandboxSpec(
        session=name,
        command=(*environment.command, *options),
        environ=tuple(environ.items()),
        mounts=environment.mounts,
        home_from=environment.home or checkout.path,
        limits=limits(settings),
        egress=settings.session.egress,
        egress_allowed=settings.session.egress_allowed,
        overlays=environment.overlays,
        root=environment.root,
        server=environment.server if settings.session.forked else (),
    )


def hub_variables(name: SessionName, environment: Environment, limits: Limits) -> dict[str, str]:
    """What repositories and packages know a Binder's session by: its address, its home and image, and its share."""
    threads = str(max(1, math.ceil(limits.cpus)))
    return {
        "REPO_DIR": HOME,
        "NB_USER": "jovyan",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_SERVICE_PREFIX": f"/user/{name}/",
        "JUPYTERHUB_USER": name,
        "JUPYTER_IMAGE": environment.key,
        "JUPYTER_IMAGE_SPEC": environment.key,
        "CPU_LIMIT": str(limits.cpus),
        "MEM_LIMIT": str(limits.memory),
        **dict.fromkeys(THREADS, threads),
    }


def binder_variables(repo: ResolvedRepo, launch_host: str) -> dict[str, str]:
    """The variables by which a repository sees where it was launched from (binder-protocol, 1.8)."""
    address = repo.address
    return {
        "BINDER_LAUNCH_HOST": launch_host,
        "BINDER_REPO_URL": address.url,
        "BINDER_REF_URL": ref_url(repo),
        "BINDER_REQUEST": address.path,
        "BINDER_PERSISTENT_REQUEST": f"v2/{address.provider}/{repo.persistent_spec}",
    }
