"""Wheels of a repository's own code and of packages that ship none: built by pip, in a sandbox.

The sandbox has its own cache and hands back files; uv installs them, and runs nothing of theirs.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from perijove.backends.environments import complaints, pip_wheels
from perijove.backends.environments.contents import BUILT_AT
from perijove.backends.environments.interpreters import Interpreters, Runs, Standing
from perijove.backends.environments.uv import Complaint, Uv
from perijove.domain import failures
from perijove.domain.build_inputs import Interpreter
from perijove.domain.confinement import Beyond
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.nouns import Checkout, Egress, ForeignRun, Limits, Mount
from perijove.domain.ports import Confined, ForeignCode, Tell
from perijove.domain.ran import Ran
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State
from perijove.launching.start.sandbox import HOME

RESULT = ".perijove-wheels"
INSIDE = Path("/run/perijove")
"""Where a build's sandbox is shown what is ours: what its programs say then names no path of this machine."""
PYPI = "//pypi.org"
"""Where pip looks by itself."""
PIP_WHEELS = Path(pip_wheels.__file__).read_text()
PIP = (
    "pip==26.3; python_version >= '3.10'",
    "pip==26.0.1; python_version == '3.9'",
    "pip==25.0.1; python_version == '3.8'",
    "pip==24.0; python_version == '3.7'",
    "pip==21.3.1; python_version < '3.7'",
)
"""The last for each Python: what builds today builds tomorrow."""
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO")


@dataclass(frozen=True, slots=True)
class Builder:
    """A Python with pip, and the folder whose programs it may use."""

    runs: Runs
    prefix: Path
    until: str = ""
    """A moment; what indexes got later is not taken."""
    beside: bool = False
    """Whether only what is not installed there yet is built, which may be nothing."""

    def command(self, words: Sequence[str]) -> tuple[str, ...]:
        """`pip wheel <words>`."""
        pip = ("-c", PIP_WHEELS) if self.beside else ("-m", "pip", "wheel", "--wheel-dir")
        return (str(self.runs.executable), "-I", *pip, f"{HOME}/{RESULT}", *words)


@dataclass(eq=False)
class Wheels:
    """Builds wheels by the port ForeignCode."""

    _state: State
    _settings: BuildSettings
    _foreign: ForeignCode
    _confined: Confined
    _uv: Uv
    _interpreters: Interpreters
    _making: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def build(
        self, name: str, words: Sequence[str], home: Checkout | None, by: Builder, into: Path, tell: Tell
    ) -> Sequence[Path]:
        """`pip wheel <words>` in a copy of `home`, or an empty one; the wheels, in `into`. Raises Fail: `build.*`."""
        run = ForeignRun(
            name=name,
            command=by.command(words),
            environ=(*environ(os.environ, by.prefix, by.until).items(), ("SOURCE_DATE_EPOCH", BUILT_AT)),
            mounts=by.runs.mounts,
            home_from=home.path if home else None,
            result=RESULT,
            limits=limits(self._settings),
            egress=Egress.PUBLIC,
            egress_allowed=self._settings.hosts,
            timeout=self._settings.timeout,
            root=by.runs.root,
        )
        said = complaints.Words()

        def heard(line: str) -> None:
            said(line)
            tell(line)

        into.mkdir(parents=True, exist_ok=True)
        ran = (await self._foreign.run(run, into, heard)).not_killed("a package's own build")
        if ran.status != 0:
            raise Fail(await self._meaning(ran, said.kept(), dict(run.environ).get("PIP_INDEX_URL", PYPI)))
        wheels = [path for path in sorted(into.iterdir()) if re.fullmatch(r"[\w.+!-]+\.whl", path.name)]
        if not wheels and not by.beside:
            raise Fail(failures.BUILD_BROKE("Its build made no wheel", Evidence("pip", "\n".join(said.kept()[-40:]))))
        return wheels

    async def _meaning(self, ran: Ran, said: tuple[str, ...], index: str) -> Failure:
        host = urlsplit(index).hostname or ""
        try:
            return await self._confined.call(complaints.pip_failure, ran.status, said, ran.unreached, host)
        except Beyond as beyond:
            return beyond.told(failures.BUILD_BROKE, "what pip said")

    async def builder(self, interpreter: Interpreter, standing: Standing, tell: Tell) -> Builder:
        """An environment of this interpreter's that holds pip alone. Raises Fail: `build.*`."""
        tools = await self._tools(interpreter, tell)
        pip = INSIDE / "pip"
        shown = (Mount(tools, pip), *await self._interpreters.shown(interpreter), *standing.mounts)
        return Builder(Runs(pip / "bin" / "python", shown, standing.root), pip)

    async def _tools(self, interpreter: Interpreter, tell: Tell) -> Path:
        """An environment that holds pip alone, made once for each interpreter."""
        made_from = (str(interpreter.executable), interpreter.version + interpreter.glibc, *PIP)
        stamp = hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:16]
        path = self._state.tools / f"pip-{stamp}"
        async with self._making:
            if path.exists():
                return path
            async with self._uv.aside(path) as work:
                try:
                    await self._uv.venv(work / "env", interpreter, tell)
                    await self._uv.install(work / "env", interpreter, ["--quiet", *PIP], tell)
                except Complaint as complaint:
                    raise Fail(complaint.meaning.failure) from complaint
                await self._uv.settle(work / "env", interpreter)
                (work / "env").rename(path)
        return path


def limits(settings: BuildSettings) -> Limits:
    """What a repository's own code may use while it is built."""
    return Limits(settings.memory, float(os.cpu_count() or 1), 1024, settings.disk, settings.disk)


def environ(ours: os._Environ[str] | dict[str, str], tools: Path, until: str = "") -> dict[str, str]:
    """What pip needs to know inside: where the index is, without its password, whom to trust, and until when."""
    index = next((ours[n] for n in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL") if ours.get(n)), "")
    shown = {n: ours[n] for n in _CERTIFICATES if ours.get(n, "").startswith(("/etc/ssl/certs", "/usr/"))}
    return {
        "HOME": HOME,
        "PATH": f"{tools}/bin:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_INPUT": "1",
        "PIP_PROGRESS_BAR": "off",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "GIT_TERMINAL_PROMPT": "0",
        **({"PIP_INDEX_URL": without_password(index)} if index.startswith(("http://", "https://")) else {}),
        **({"PIP_UPLOADED_PRIOR_TO": until, "UV_EXCLUDE_NEWER": until} if until else {}),
        **shown,
    }


def without_password(url: str) -> str:
    """An address as foreign code may know it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
