"""The control plane's side of conda: asks confined processes, and remembers what was decided for each commit."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from perijove.backends.environments import resolutions
from perijove.backends.environments.conda import calls
from perijove.backends.environments.conda.asked import Answer, Linked, Order, Question, World
from perijove.backends.environments.conda.channels import Meant, meant, mirrors
from perijove.backends.environments.installer import Room
from perijove.domain import conda_failures, failures
from perijove.domain.build_inputs import CondaPackages
from perijove.domain.conda_settings import CondaSettings, conda_platform
from perijove.domain.confinement import Beyond, Bounds, Identity, Limit
from perijove.domain.failures import Fail
from perijove.domain.nouns import Checkout, InstallConda
from perijove.domain.ports import Confined, Tell
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State

T = TypeVar("T")
PREFERRED = "python 3.12.*"
"""Where nobody asks for a Python, as far as the other packages allow."""
ADDED = ("ipykernel", "pip")
USUAL = ("ipywidgets", "nbformat", "nbconvert", "requests", "jinja2", "pyyaml")
"""What authors rely on without writing it, for every Binder has it."""
SOLVING = 300.0
"""Seconds."""
KINDS = {
    Limit.SIZE: failures.BUILD_TOO_LARGE,
    Limit.MEMORY: failures.BUILD_MEMORY,
    Limit.TIME: failures.BUILD_TOO_SLOW,
}
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(slots=True)
class Conda:
    """Decides on packages and links them; both in processes that may die."""

    state: State
    confined: Confined
    build: BuildSettings
    settings: CondaSettings

    def __post_init__(self) -> None:
        self._solving = asyncio.Semaphore(2)
        self._linking = asyncio.Lock()

    _solving: asyncio.Semaphore = None  # type: ignore[assignment]
    _linking: asyncio.Lock = None  # type: ignore[assignment]

    async def decided(
        self, step: InstallConda, checkout: Checkout, tell: Tell, glibc: str = "", *, again: bool
    ) -> CondaPackages:
        """What was decided for this commit, or is now; with `again` it is now. Raises Fail: `build.*`.

        `glibc`: of the base that it is for.
        """
        channels = meant(step.path, step.channels, step.specs, self.settings)
        for note in channels.notes:
            tell(note)
        question = self._question(step, channels, (f"__glibc={glibc}",) if glibc else ())
        kept, name = self.state.resolutions, _name(question, checkout)
        answer = None if again else await asyncio.to_thread(_read, kept, name)
        if answer is None:
            tell("Looking for conda packages that fit together")
            async with self._solving:
                answer = await self._asked(question)
            await asyncio.to_thread(resolutions.keep, kept, name, asdict(answer))
        for note in answer.notes:
            tell(note)
        return CondaPackages(answer.lock, answer.python, step.variables)

    async def link(self, packages: CondaPackages, at: Path, final: Path, room: Room, tell: Tell) -> Linked:
        """Into the folder `at`, which is made, beside what comes and goes. Raises Fail: `build.*`."""
        order = Order(packages.lock, at, final, at.parent, room, packages.variables)
        async with self._linking:  # one at a time writes to the cache
            try:
                bounds = self._bounds(self.build.timeout, at.parent)
                return await self.confined.run(calls.linked, self._world(), order, bounds=bounds, tell=tell)
            except Beyond as beyond:
                if beyond.limit is Limit.CRASH:
                    raise Fail(beyond.told(conda_failures.BAD_PACKAGE, "a conda package")) from beyond
                raise Fail(beyond.told(KINDS.get(beyond.limit, failures.INSTALL_FAILED), "the environment")) from beyond

    async def call(self, function: Callable[..., T], *given: object, work: Path) -> T:
        """A function's doing in the cache and in a build's folder `work`. Raises Fail: `build.*`."""
        try:
            return await self.confined.call(function, *given, bounds=self._bounds(self.build.timeout, work))
        except Beyond as beyond:
            raise Fail(beyond.told(KINDS.get(beyond.limit, failures.INSTALL_FAILED), "the environment")) from beyond

    async def _asked(self, question: Question) -> Answer:
        try:
            bounds = self._bounds(question.seconds + 60)
            return await self.confined.run(calls.solved, self._world(), question, bounds=bounds)
        except Beyond as beyond:
            kind = KINDS.get(beyond.limit, conda_failures.BAD_PACKAGE)
            raise Fail(beyond.told(kind, "the channels' list of packages")) from beyond

    def _question(self, step: InstallConda, channels: Meant, virtual: tuple[str, ...]) -> Question:
        named = [re.split(r"[\s=<>!~\[]", spec.rpartition("::")[2], maxsplit=1) for spec in channels.specs]
        names = {found[0].lower() for found in named}
        bare = [spec for spec in channels.specs if spec.strip().lower() == "python"]
        return Question(
            step.path,
            channels.channels,
            tuple(spec for spec in channels.specs if spec not in bare),
            tuple(name for name in ADDED if name not in names),
            tuple(name for name in USUAL if name not in names),
            PREFERRED if bare or "python" not in names else "",
            (*virtual, *self.settings.virtual_packages),
            SOLVING,
        )

    def _world(self) -> World:
        self.confined.hand_over(self.state.conda_cache, Identity.INSTALLER)
        return World(
            self.state.conda_cache,
            mirrors(self.settings, os.environ),
            tuple(dict.fromkeys(one.partition(":")[0] for one in self.settings.hosts)),
            conda_platform(platform.machine()),
        )

    def _bounds(self, seconds: float, *writes: Path) -> Bounds:
        build = self.build
        cpu = int(seconds * (os.cpu_count() or 1)) + 1
        further = [Path(os.environ[name]) for name in _CERTIFICATES if os.environ.get(name)]
        return Bounds(
            *(Identity.INSTALLER, seconds, cpu, build.memory, build.environment_size),
            writes=(self.state.conda_cache, *writes),
            reads=(*further, *(path.resolve() for path in further)),
        )


def _name(question: Question, checkout: Checkout) -> str:
    """A commit stays as it was decided; another may be decided otherwise."""
    of = [asdict(question), checkout.repo.address.url, checkout.repo.commit]
    return hashlib.sha256(json.dumps(of).encode()).hexdigest()[:32]


def _read(kept: Path, name: str) -> Answer | None:
    found = resolutions.recalled(kept, name)
    try:
        return Answer(str(found["lock"]), str(found["python"]), tuple(map(str, _list(found["notes"]))))
    except KeyError:
        return None


def _list(found: object) -> Sequence[object]:
    return found if isinstance(found, list) else []
