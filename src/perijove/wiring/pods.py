"""Sessions as pods, joined with what they need: images in a registry, and the data plane's way to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from perijove.backends.caddy.upstreams import UpstreamFolder
from perijove.backends.confined import ConfinedCalls
from perijove.backends.environments.system.bases import Base
from perijove.backends.kubernetes import leftovers
from perijove.backends.kubernetes.api import Cluster
from perijove.backends.kubernetes.builds import ClusterBuilds
from perijove.backends.kubernetes.keeping import Keeping
from perijove.backends.kubernetes.manifests import Terms, Work
from perijove.backends.kubernetes.prepulling import Prepull
from perijove.backends.kubernetes.sessions import KubernetesSessions
from perijove.backends.pad.client import Pad
from perijove.backends.registry.addresses import for_images
from perijove.backends.registry.session_images import SessionImages
from perijove.domain import failures
from perijove.domain.engine_settings import Builds
from perijove.domain.failures import Fail
from perijove.domain.keys import Keys
from perijove.domain.nouns import SandboxSpec
from perijove.domain.ports import Clock, Tell
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.log import log

DEADLINE = 7 * 86400.0
"""Seconds after which the cluster ends a session of which nobody says when it is too old."""
LOOK_EVERY = 10.0
"""Seconds between two looks whether there is a base."""


@dataclass(frozen=True, slots=True)
class ClusterEngine:
    """Sessions as pods, and what they need beside them."""

    cluster: Cluster
    sessions: KubernetesSessions
    prepull: Prepull
    builds: ClusterBuilds | None
    """Where they are its Jobs."""
    upstreams: UpstreamFolder
    images: SessionImages
    terms: Terms

    @property
    def told(self) -> str:
        """Where sessions run, in words."""
        return f"Sessions run as pods in the namespace {self.terms.namespace}"

    async def sweep(self) -> None:
        """Remove what a control plane left that was killed, before any session starts."""
        try:
            await leftovers.sweep(self.cluster, self.terms)
        except Fail as error:
            _tell("what was left in the cluster is not removed", error)

    async def try_policies(self, base: Callable[[], Base | None], clock: Clock) -> None:
        """Find out whether they hold: once, with an image of the base alone, as soon as there is one."""
        while (found := base()) is None:
            await clock.sleep(LOOK_EVERY)
        try:
            await self.sessions.try_policies(await self.images.system(found.root, lambda _: None))
        except (Fail, OSError) as error:  # a base may be removed meanwhile
            _tell("it is not known whether network policies hold", error)


def cluster_engine(state: State, settings: Settings, pad: Pad, confined: ConfinedCalls, keys: Keys) -> ClusterEngine:
    """Raises Fail: `platform.*`."""
    engine = settings.engine
    images = SessionImages(for_images(engine.registry), engine.registry_credentials, state.image_layers)

    async def described(spec: SandboxSpec, tell: Tell) -> Work:
        variables = dict(spec.environ)
        about = {"repository": "BINDER_REPO_URL", "request": "BINDER_PERSISTENT_REQUEST"}
        image = await images.published(spec, tell)
        prepull.asked(image)
        return Work(image, {name: variables.get(one, "") for name, one in about.items()})

    cluster, upstreams = Cluster(engine.namespace), UpstreamFolder(state.upstreams)
    terms = Terms(
        engine.namespace,
        instance=engine.instance,
        priority_class=engine.priority_class,
        runtime_class=engine.runtime_class,
        host_users=not engine.user_namespaces,
        pull_secrets=engine.pull_secrets,
        cpu_request=engine.cpu_request,
        deadline=max(DEADLINE, 2 * settings.session.max_age),
    )
    confined.let_through(state.unsealed)
    keeping = Keeping(state, confined, keys.session_files, terms.files_port)
    sessions = KubernetesSessions(cluster, terms, described, pad.room, keeping, upstreams.lead)
    prepull = Prepull(
        cluster, terms, engine.prepull, sessions.owner, lambda spec: images.published(spec, lambda _: None)
    )
    builds = ClusterBuilds(cluster, terms, images.of_run, sessions.owner, confined, pad)
    used = builds if engine.builds is Builds.JOBS else None
    return ClusterEngine(cluster, sessions, prepull, used, upstreams, images, terms)


def _tell(what: str, error: Exception) -> None:
    failure = failures.of(error)
    seen = [f"{one.where}: {one.saw}" for one in failure.evidence]
    log.warning(what, code=failure.kind.code, message=failure.message, evidence=seen)
