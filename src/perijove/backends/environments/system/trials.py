"""Which of this machine's Pythons run on a base: each is tried there, once.

In: interpreters; out: the one to take there. uv's are built to run anywhere, others where the base has their libraries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from packaging.specifiers import SpecifierSet

from perijove.backends.environments.interpreters import Standing, pick
from perijove.backends.environments.system.bases import Base
from perijove.backends.environments.uv import Uv
from perijove.domain.build_inputs import Interpreter
from perijove.domain.nouns import Egress, ForeignRun, Limits, PythonRequest
from perijove.domain.ports import ForeignCode, Tell
from perijove.domain.state import State
from perijove.launching.start.sandbox import HOME

SCRIPT = "import bz2, ctypes, hashlib, lzma, sqlite3, ssl, uuid, zlib"
"""What installed packages take for granted, and what of Python needs a system's libraries."""
LIMITS = Limits(memory=1024**3, cpus=1.0, processes=16, disk=64 * 1024**2, tmp=64 * 1024**2)
SECONDS = 60


class Trials:
    """Remembers what they came to while the service runs."""

    def __init__(self, state: State, foreign: ForeignCode, uv: Uv) -> None:
        self._state = state
        self._foreign = foreign
        self._uv = uv
        self._known: dict[tuple[str, Interpreter, int], bool] = {}

    async def pythons(
        self, base: Base, request: PythonRequest, here: Sequence[Interpreter], tell: Tell
    ) -> Sequence[Interpreter]:
        """The base's own, and one of this machine's where that serves a request better and runs there.

        Raises Fail: `build.python-unavailable`, `start.sandbox-failed`, `platform.*`.
        """
        own = base.interpreter
        if SpecifierSet(request.specifier).contains(own.version):
            return (own,)
        left = [one for one in here if not one.prefix.is_relative_to("/usr")]  # where the base has its own
        while (found := pick(request, (own, *left))[0]) is not own:
            if await self._runs(base, found, tell):
                return (own, replace(found, glibc=base.glibc))
            left.remove(found)
        return (own,)

    async def _runs(self, base: Base, python: Interpreter, tell: Tell) -> bool:
        tried = (base.key, python, python.executable.stat().st_mtime_ns)
        if tried not in self._known:
            self._known[tried] = await self._tried(base, python, tell)
        return self._known[tried]

    async def _tried(self, base: Base, python: Interpreter, tell: Tell) -> bool:
        runs = await self._uv.interpreters.runs(python, Standing(base.root))
        said: list[str] = []
        async with self._uv.aside(self._state.bases / "trial") as work:
            run = ForeignRun(
                name=work.name.split(".")[2],
                command=(str(runs.executable), "-I", "-S", "-c", SCRIPT),
                environ=(("PATH", "/usr/bin:/bin"), ("HOME", HOME), ("LANG", "C.UTF-8")),
                mounts=runs.mounts,
                home_from=None,
                result="none",
                limits=LIMITS,
                egress=Egress.NONE,
                egress_allowed=(),
                timeout=SECONDS,
                root=runs.root,
            )
            ran = (await self._foreign.run(run, work / "none", said.append)).not_killed("a Python that is tried")
        if ran.status:
            tell(f"Python {python.version} of this machine does not run on the base: {''.join(said[-1:])}")
        return ran.status == 0
