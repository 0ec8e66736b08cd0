"""What a session's sandbox is, from the settings, the environment and the repository. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from perijove.domain.classes import Class
from perijove.domain.listening import MARK, own_url
from perijove.domain.nouns import (
    Checkout,
    Environment,
    Limits,
    ResolvedRepo,
    SandboxSpec,
    SessionName,
    ref_url,
    session_path,
)
from perijove.domain.settings import IsolationMode, Settings

HOME = "/home/jovyan"
THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMEXPR_MAX_THREADS"),
    *("NUMBA_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "LOKY_MAX_CPU_COUNT", "PYTHON_CPU_COUNT"),
)
"""What libraries ask for how many threads to start; they count the machine's processors otherwise."""


BINDER_VARIABLES = tuple(
    f"BINDER_{name}" for name in ("LAUNCH_HOST", "REPO_URL", "REF_URL", "REQUEST", "PERSISTENT_REQUEST")
)
"""By which a repository sees where it was launched from (binder-protocol, 1.8)."""
KERNEL_AHEAD = "PERIJOVE_KERNEL_AHEAD"
"""Tells a server when to import what kernels need: once a `page` of it is opened, or, while it is `held`, at once."""
READ_AT_START = re.compile(
    r"jupyter.*config.*|labconfig|serverconfig|nbconfig|\.(jupyter|local|ipython|cache|config)", re.DOTALL
)
"""Where a server looks for settings in its home (`jupyter_core.paths.jupyter_config_path` and `config_file_paths` of
jupyter_core 5.9, for the JUPYTER_CONFIG_PATH of sessions), and hidden folders that it makes there itself."""


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


def in_class(settings: Settings, one: Class | None) -> Settings:
    """The settings for sessions of a class."""
    if one is None:
        return settings
    own, session = one.settings, settings.session
    session = replace(
        session,
        memory=own.memory or session.memory,
        cpus=own.cpus or session.cpus,
        disk=own.disk or session.disk,
    )
    return replace(settings, session=session)


def limits(settings: Settings) -> Limits:
    """What one session may use."""
    session = settings.session
    return Limits(session.memory, session.cpus, session.processes, session.disk, session.tmp)


def sandbox(
    name: SessionName,
    token: str,
    checkout: Checkout,
    environment: Environment,
    settings: Settings,
    served_at: str = "",
) -> SandboxSpec:
    """A session's sandbox, in full."""
    path = served_at or session_path(settings.service.base, name)
    environ = {
        "HOME": HOME,
        "USER": "jovyan",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        **dict(environment.environ),
        **hub_variables(name, environment, limits(settings), served_at or settings.service.base, path),
        **binder_variables(checkout.repo, own_url(settings.service)),
        "JUPYTER_TOKEN": token,
        **({"PERIJOVE_PROCESSES": str(settings.session.processes)} if _counted(settings) else {}),
        **({KERNEL_AHEAD: "page"} if settings.session.kernel_ahead else {}),
    }
    return SandboxSpec(
        session=name,
        command=(*environment.command, *_options(path, settings.service.cors_allow_origin)),
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


def _options(path: str, allowed: Sequence[str]) -> list[str]:
    """What its server is told, which pages of these origins may ask."""
    options = [
        f"--ServerApp.base_url={path}",
        "--ServerApp.allow_remote_access=True",
        "--ServerApp.trust_xheaders=True",
        f"--ServerApp.root_dir={HOME}",
    ]
    if "*" in allowed:
        options.append("--ServerApp.allow_origin=*")
    elif origins := "|".join(map(re.escape, allowed)):
        options.append(rf"--ServerApp.allow_origin_pat=(?:{origins})\Z")
    return options


def blank(spec: SandboxSpec) -> SandboxSpec:
    """A sandbox before it is known what it is for: its home is empty, and its server has to be told its variables."""
    environ = tuple((name, value) for name, value in spec.environ if name not in BINDER_VARIABLES)
    return replace(spec, home_from=None, environ=environ)


def ahead_of_visitors(spec: SandboxSpec) -> SandboxSpec:
    """The same where it imports what kernels need before it has a visitor."""
    return replace(
        spec, environ=tuple((name, "held" if name == KERNEL_AHEAD else value) for name, value in spec.environ)
    )


def may_be_blank(environment: Environment) -> bool:
    """Whether its server can start before there is a repository: it is Perijove's own, and runs nothing of one's."""
    return bool(environment.server) and not environment.start and environment.home is None


def read_at_start(names: Iterable[str]) -> bool:
    """Whether a server would read something of a repository as it starts, by the names in its root."""
    return any(READ_AT_START.fullmatch(name) for name in names)


def _counted(settings: Settings) -> bool:
    """Whether a session's server sees its own processes, and no others."""
    return settings.session.isolation is IsolationMode.SANDBOX


def hub_variables(name: SessionName, environment: Environment, limits: Limits, base: str, path: str) -> dict[str, str]:
    """What repositories and packages know a Binder's session by: its address, its home and image, and its share.

    Below `base` its pages find the static files of all sessions.
    """
    threads = str(max(1, math.ceil(limits.cpus)))
    return {
        "REPO_DIR": HOME,
        "NB_USER": "jovyan",
        "JUPYTERHUB_BASE_URL": base,
        "JUPYTERHUB_SERVICE_PREFIX": path,
        "JUPYTERHUB_USER": name,
        "JUPYTER_IMAGE": environment.key,
        "JUPYTER_IMAGE_SPEC": environment.key,
        "CPU_LIMIT": str(limits.cpus),
        "MEM_LIMIT": str(limits.memory),
        **dict.fromkeys(THREADS, threads),
    }


def binder_variables(repo: ResolvedRepo, launch_host: str) -> dict[str, str]:
    """Those of `BINDER_VARIABLES`."""
    address = repo.address
    persistent = f"v2/{address.provider}/{repo.persistent_spec}"
    return dict(zip(BINDER_VARIABLES, (launch_host, address.url, ref_url(repo), address.path, persistent), strict=True))
