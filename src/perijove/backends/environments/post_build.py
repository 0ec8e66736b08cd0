"""A repository's postBuild: run in a sandbox over its environment, and all that it writes kept, as layers.

In: the environment without it, and the commit. Out: a folder with `home` and with `layer-0`, to be laid over the
environment, or `whole-0`, which stands for both.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from perijove.backends.environments import complaints, wheels
from perijove.domain import failures
from perijove.domain.build_inputs import BuildInputs, Interpreter
from perijove.domain.confinement import Beyond
from perijove.domain.failures import Fail, Failure
from perijove.domain.nouns import Egress, Environment, ForeignRun, Overlay
from perijove.domain.ports import Confined, ForeignCode, Tell
from perijove.domain.ran import Ran
from perijove.domain.settings import BuildSettings
from perijove.launching.start.sandbox import HOME

HEARD = 200
"""Lines that its failure is explained by."""


@dataclass(frozen=True, slots=True)
class PostBuild:
    """Runs it as the settings have it."""

    settings: BuildSettings
    foreign: ForeignCode
    confined: Confined

    async def run(
        self, inputs: BuildInputs, base: Environment, interpreter: Interpreter, into: Path, tell: Tell
    ) -> None:
        """Raises Fail: `build.*`, `start.sandbox-failed`, `platform.*`."""
        assert inputs.scripts is not None
        script = inputs.scripts.post_build
        launcher = Path(base.command[2])
        run = ForeignRun(
            name=f"post-build-{inputs.name[:16]}",
            command=(
                *(str(interpreter.executable), "-I", "-S", str(launcher.with_name("running.py"))),
                *("postBuild", f"{HOME}/{script}"),
            ),
            environ=tuple(environ(base, inputs.wanted.published_before).items()),
            mounts=base.mounts,
            home_from=inputs.checkout.path,
            result="",
            limits=wheels.limits(self.settings),
            egress=Egress.PUBLIC,
            egress_allowed=self.settings.hosts,
            timeout=self.settings.timeout,
            overlays=base.overlays,
            layers=True,
            root=base.root,
        )
        said: list[str] = []

        def heard(line: str) -> None:
            said.append(line)
            del said[:-HEARD]
            tell(line)

        tell(f"Running {script}")
        ran = (await self.foreign.run(run, into, heard)).not_killed(script)
        if ran.status:
            raise Fail(await self._meaning(script, said, ran))

    async def _meaning(self, path: str, said: list[str], ran: Ran) -> Failure:
        try:
            return await self.confined.call(complaints.post_build_failure, path, tuple(said), ran.unreached)
        except Beyond as beyond:
            return beyond.told(failures.POST_BUILD_FAILED, f"what {path} said")


def environ(base: Environment, until: str = "") -> dict[str, str]:
    """A session's variables, and what pip and uv need to know."""
    return {
        **wheels.environ(os.environ, base.path, until),
        **dict(base.environ),
        "USER": "jovyan",
        "NB_USER": "jovyan",
        "REPO_DIR": HOME,
        "LC_ALL": "C.UTF-8",
    }


def stack(base: Environment, made: Path) -> Overlay:
    """An environment with what a postBuild made of it, which lies in a folder; as it was where there is nothing."""
    (own,) = base.overlays
    if (whole := made / "whole-0").is_dir():
        return Overlay((whole,), own.target)
    layer = made / "layer-0"
    return Overlay((*own.layers, layer), own.target) if layer.is_dir() else own
