"""A build's conda environment, aside: made anew when it must be empty, shown to sandboxes where it will stand."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from perijove.backends.environments.bytecode import LISTED, Bytecode
from perijove.backends.environments.bytecode import RESULT as COMPILED
from perijove.backends.environments.conda.asked import Linked
from perijove.backends.environments.conda.compiled import Compiling, keep, link_known
from perijove.backends.environments.conda.conda import Conda
from perijove.backends.environments.interpreters import HOST, Runs, Standing
from perijove.backends.environments.stubbed_python import Described, stand_in
from perijove.backends.environments.uv import Uv
from perijove.domain.build_inputs import CondaPackages, Interpreter
from perijove.domain.nouns import Egress, ForeignRun, Limits, Mount
from perijove.domain.ports import ForeignCode, Tell
from perijove.launching.start.sandbox import HOME

RESULT = "activated"
SECONDS = 120
LARGEST = 1024**2
"""Bytes of variables."""
OWN = frozenset(
    (
        *("PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "_", "LANG", "SHELL", "PS1", "TERM"),
        *("VIRTUAL_ENV", "PERIJOVE_SOCKET_FD", "JUPYTER_PATH", "JUPYTER_CONFIG_PATH"),
        *("CONDA_DIR", "NB_PYTHON_PREFIX", "KERNEL_PYTHON_PREFIX"),
    )
)
"""Variables that a session has from us, whatever an environment makes of them."""
SCRIPT = """for script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do . "$script" >&2; done
mkdir -p "$HOME/activated" && env -0 > "$HOME/activated/variables"
"""


@dataclass(slots=True)
class CondaBase:
    """`at` is where it lies now, `final` where it will."""

    conda: Conda
    uv: Uv
    packages: CondaPackages
    at: Path
    final: Path
    trusted: Interpreter
    """Answers uv in its place."""
    tell: Tell
    standing: Standing = HOST
    linked: Linked | None = None

    @property
    def interpreter(self) -> Interpreter:
        """As it will be run."""
        minor = ".".join(self.packages.python.split(".")[:2])
        return Interpreter(self.packages.python, self.final / "bin" / f"python{minor}", self.final)

    @property
    def asked(self) -> Path:
        """Where uv asks about its interpreter."""
        return self.at.parent / "python"

    @property
    def runs(self) -> Runs:
        return Runs(
            self.interpreter.executable, (Mount(self.at, self.final), *self.standing.mounts), self.standing.root
        )

    async def make(self) -> None:
        """The conda packages, and nothing else. Raises Fail: `build.*`."""
        first = self.linked is None
        self.linked = await self.conda.link(self.packages, self.at, self.final, self.uv.room(), self.tell)
        if first:
            self.tell(f"{self.linked.packages} conda packages are installed, with Python {self.packages.python}")
            trusted = await self.uv.interpreters.reachable(self.trusted)
            described = Described(self.at, self.interpreter, virtual=False)
            await self.uv.confined(stand_in, self.at.parent, described, trusted.executable)

    async def compile(self, bytecode: Bytecode, site_packages: Path, name: str) -> None:
        """See to it that its packages have bytecode, as far as that can be had. Raises Fail: `build.*`."""
        assert self.linked is not None
        work, cache = self.at.parent, self.conda.state.conda_cache
        compiler = work / "compiler"
        given = Compiling(cache, self.linked.python, self.interpreter.minor, site_packages, work / LISTED, compiler)
        if await self.conda.call(link_known, given, work=work):
            shown = (Mount(compiler, compiler), *self.standing.mounts)
            runs = Runs(compiler / given.program, shown, self.standing.root)
            if await bytecode.run(work, site_packages, runs, name, self.tell):
                await self.conda.call(keep, given, work / COMPILED, work=work)

    async def variables(self, foreign: ForeignCode, name: str) -> dict[str, str]:
        """What activating it sets: scripts run once, in a sandbox. Raises Fail: `build.*`, `start.sandbox-failed`."""
        assert self.linked is not None
        plain = {
            "CONDA_PREFIX": str(self.final),
            "CONDA_DEFAULT_ENV": "notebook",
            "CONDA_SHLVL": "1",
            **{name: value for name, value in self.linked.variables if name not in OWN},
        }
        if not self.linked.scripts:
            return plain
        given = {"PATH": f"{self.final}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": HOME, "LANG": "C.UTF-8", **plain}
        run = ForeignRun(
            name=name,
            command=("/bin/bash", "-c", SCRIPT),
            environ=tuple(given.items()),
            mounts=self.runs.mounts,
            home_from=None,
            result=RESULT,
            limits=Limits(memory=1024**3, cpus=1.0, processes=64, disk=64 * 1024**2, tmp=64 * 1024**2),
            egress=Egress.NONE,
            egress_allowed=(),
            timeout=SECONDS,
            root=self.standing.root,
        )
        into = self.at.parent / RESULT
        into.mkdir()
        try:
            ran = (await foreign.run(run, into, self.tell)).not_killed("the environment's activation")
            found = await self.uv.confined(read_variables, into / "variables") if ran.status == 0 else {}
        finally:
            shutil.rmtree(into, ignore_errors=True)
        if not found:
            self.tell("The environment's activation scripts fail: their variables are not set")
        return plain | {name: value for name, value in found.items() if name not in OWN}


def read_variables(path: Path) -> dict[str, str]:
    """What `env -0` wrote; nothing where it wrote nothing."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST).decode("utf-8", "replace")
    except FileNotFoundError:
        return {}
    pairs = (one.partition("=") for one in text.split("\0") if one)
    return {name: value for name, _, value in pairs if name.isidentifier()}
