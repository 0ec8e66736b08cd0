"""One environment's build: what is wanted, built where it must be, installed into a folder that has no name yet."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from perijove.backends.environments import kernel, mistaken_names, pythons_with
from perijove.backends.environments.archives import Addressed
from perijove.backends.environments.complaints import Meaning
from perijove.backends.environments.conda.foundation import CondaBase
from perijove.backends.environments.interpreters import HOST, Standing
from perijove.backends.environments.server import site_packages
from perijove.backends.environments.uv import Complaint, Uv
from perijove.backends.environments.wanted import lines_for
from perijove.backends.environments.wheels import INSIDE, Builder, Wheels
from perijove.domain import failures
from perijove.domain.build_inputs import BuildInputs, Interpreter, Source, Wanted
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.nouns import Checkout, Mount
from perijove.domain.ports import Place, Tell

ALWAYS = ("ipykernel", "pip")
"""What every environment holds: a kernel, and what `!pip install` runs."""
USUAL = (
    # Older ones bring a whole server.
    "ipywidgets>=8; python_version >= '3.7'",
    *("nbformat", "nbconvert", "requests", "jinja2", "pyyaml"),
)
"""What authors rely on without writing it, for every Binder has it; left out where it does not fit with their own."""
UNFIT = frozenset((failures.CONFLICT, failures.NO_SUCH_PACKAGE, failures.INSTALL_FAILED, failures.BAD_FILE))
"""What it comes to where packages do not fit with one another, and when it may be these."""
_COMPLAINS = re.compile(r"\s*×|error: ")
MOST_SOURCES = 50
"""Sandboxes for one environment's sources."""
ROUNDS = 8
"""How often uv may come upon further packages that ship no wheel."""


@dataclass(slots=True)
class Installation:
    """A build in its own folder `work`: the environment comes to stand at `work/env`."""

    uv: Uv
    wheels: Wheels
    work: Path
    name: str
    """Names its sandboxes: `[a-z0-9]`, at most 16 characters."""
    inputs: BuildInputs
    tell: Tell
    standing: Standing = HOST
    conda: CondaBase | None = None
    """What everything is installed into; else a virtual environment."""
    before: tuple[str, ...] = ()
    """Versions that it was resolved to before, which are taken again."""
    place: Place = nullcontext
    """What sandboxes wait for."""
    interpreter: Interpreter = field(init=False)
    """The one that is wanted, or another one for which all that is pinned has builds; conda's own in its own."""
    _local: list[str] = field(default_factory=list)
    """Requirements that name wheels built here."""
    _named: set[str] = field(default_factory=set)
    """Packages of the index that were built here."""
    _addresses: set[str] = field(default_factory=set)
    """Packages that built wheels want from addresses, normalized."""
    _unfit: set[str] = field(default_factory=set)
    """Packages with versions that have no wheel for the first interpreter."""
    _usual: tuple[str, ...] = ()
    _held: list[str] = field(default_factory=list)
    """Versions that a server must not change."""
    _runs: int = 0
    _installed: bool = False
    """Whether uv has been at the environment."""

    def __post_init__(self) -> None:
        self.interpreter = self.inputs.interpreter
        asked = {_name(line) for line in self.wanted.packages}
        self._usual = tuple(line for line in USUAL if _name(line) not in asked)

    @property
    def wanted(self) -> Wanted:
        return self.inputs.wanted

    @property
    def environment(self) -> Path:
        return self.work / "env"

    @property
    def _packages(self) -> Path:
        return site_packages(self.environment, self.interpreter)

    async def install(self) -> str:
        """Everything; the app to serve it with, or `` for Perijove's own server. Raises Fail: `build.*`."""
        if self.conda is not None:
            await self.conda.make()
            self.interpreter = self.conda.interpreter
        await self._build_first()
        await self._install(())
        if not await asyncio.to_thread(kernel.brings_server, self.environment, self._packages):
            return ""
        if old := await asyncio.to_thread(kernel.too_old, self._packages):
            self.tell(f"The repository brings {old}, which is too old to be served with: Perijove's own server is used")
            return ""
        missing = sorted({"jupyterlab", "notebook"} - kernel.installed(self._packages))
        if missing:
            self.tell(f"The repository brings its own Jupyter server; installed beside it: {', '.join(missing)}")
            if self.conda is not None:  # uv knows of no pins but pip's
                self._held = await asyncio.to_thread(kernel.versions, self._packages)
            await self._install(missing)
        return kernel.app(self._packages)

    async def _build_first(self) -> None:
        """What uv cannot install by itself, before it is asked."""
        if self.wanted.elsewhere:
            await self._build_all()
        else:
            await self._build_sources()

    async def _build_sources(self) -> None:
        """The repository's own, what it names by an address, and what those name by one in their metadata."""
        pending = list(self.wanted.sources)
        while pending:
            source = pending.pop(0)
            self.tell(f"Building {source.said} in a sandbox")
            home = self.inputs.home if source.local else None
            wheels = await self._build(["--no-deps", *_as_words(source.words)], home, str(self._runs))
            self._local += [_requirement(wheel, source.extras) for wheel in wheels]
            addressed = [named.words for named in await self._addressed(wheels) if not named.optional or source.extras]
            pending += [Source(words, "", words, local=False) for words in addressed]
            if self._runs > MOST_SOURCES:
                where = Evidence("pip", source.said)
                raise Fail(failures.INSTALL_FAILED("Too many packages are named by addresses", where))

    async def _addressed(self, wheels: Sequence[Path]) -> Sequence[Addressed]:
        """What wheels want from addresses and is not known yet. uv never goes there: it is built here, or left out."""
        found = [n for n in await self.uv.looked_into(wheels) if canonicalize_name(n.name) not in self._addresses]
        self._addresses |= {canonicalize_name(named.name) for named in found}
        return found

    async def _install(self, further: Sequence[str]) -> None:
        """uv, into a new environment each time: it must not start an interpreter in one that holds foreign code."""
        for _ in range(ROUNDS):
            complaint = await self._complaint(further)
            if complaint is None:
                return
            unfit = (*complaint.meaning.unfit, *self._bounded(complaint.meaning))
            if await self._moved(unfit):
                continue
            unbuilt = set(complaint.meaning.unbuilt) - self._named
            if not unbuilt and self.before and complaint.meaning.failure.kind in UNFIT:
                self.tell("What this commit was resolved to before is not to be had any more: it is resolved anew")
                self.before = ()
                continue
            if not unbuilt:
                meaning = complaint.meaning
                raise Fail(await self._explained(meaning.failure, meaning.missing, unfit)) from complaint
            self.tell(f"No wheel fits for {', '.join(sorted(unbuilt))}: building from sources in a sandbox")
            self._named |= unbuilt
            try:
                await self._build_named(sorted(unbuilt), (*complaint.meaning.asked, *complaint.meaning.unfit))
            except Fail as fail:
                raise Fail(await self._explained(fail.failure, unbuilt, unfit)) from fail
        raise Fail(failures.INSTALL_FAILED("Too many packages ship no wheel", Evidence("uv", " ".join(self._named))))

    def _bounded(self, meaning: Meaning) -> Sequence[str]:
        """What the repository's own lines say of packages without wheels where they end at a version: `numpy<1.20`."""
        lines = (line for name in meaning.unbuilt for line in lines_for(self.wanted.packages, name))
        asked = [_asked(line) for line in lines]
        return [one for one in asked if re.search(r"<|~=|\*", one)]

    async def _build_named(self, names: Sequence[str], needed: Sequence[str]) -> None:
        """Packages of the index, each as it is asked for; pip holds sources to the hashes that a lock has of them.

        `needed`: which versions fit with other packages, where no line says it.
        """
        written = as_asked(names, (*self.wanted.constraints, *self.before, *self.wanted.packages), needed)
        # With one hash pip wants a hash of everything.
        for hashed in (True, False):
            some = [line for line in written if (" --hash" in line) is hashed]
            if some:
                asked = self.work / f"named-{self._runs}.txt"
                await asyncio.to_thread(_write, asked, some)
                wheels = await self._build(["--no-deps", "-r", _inside(asked)], None, "named", asked)
                await self.uv.looked_into(wheels)

    async def _moved(self, unfit: Sequence[str]) -> bool:
        """Whether another interpreter is taken, because all that has no wheel for this one has wheels for that one."""
        all_unfit = self._unfit | set(unfit)
        if not unfit or self.conda is not None:  # conda has decided on the interpreter
            return False
        other = await pythons_with.other(self.uv, sorted(all_unfit), self.inputs, self.work)
        if other is None:
            return False
        self.tell(f"Python {other.minor} is taken: {', '.join(unfit)} has no build for {self.interpreter.minor}")
        self.interpreter, self._unfit = other, all_unfit
        for built in (self._local, self._named, self._addresses):
            built.clear()
        await asyncio.to_thread(shutil.rmtree, self.work / "wheels", ignore_errors=True)
        await self._build_first()
        return True

    async def _complaint(self, further: Sequence[str]) -> Complaint | None:
        """Of uv, over what the repository asks for: what is usual goes where it is in the way."""
        if self.conda is not None:  # uv would change versions that conda has decided on
            self._usual = ()
        said: list[str] = []
        complaint = await self._tried([*further, *self._usual], self._until_it_complains(said))
        if complaint is None or not self._usual or complaint.meaning.failure.kind not in UNFIT:
            for line in said:
                self.tell(line)
            return complaint
        complaint = await self._tried(further, self.tell)
        if complaint is None:
            self.tell(
                f"Left out, for it does not fit with what the repository asks for: {', '.join(map(_name, self._usual))}"
            )
            self._usual = ()
        return complaint

    def _until_it_complains(self, said: list[str]) -> Tell:
        """Tells what uv says, but keeps its complaint in `said`: it may not be about what the repository asks for."""

        def tell(line: str) -> None:
            if said or _COMPLAINS.match(line):
                said.append(line)
            else:
                self.tell(line)

        return tell

    async def _tried(self, further: Sequence[str], tell: Tell) -> Complaint | None:
        await self._empty()
        if await asyncio.to_thread(self._left_nothing, further):
            return None
        self._installed = True
        options = await asyncio.to_thread(self._options, further)
        # Of conda's, which strangers may have made, uv is told; it runs ours.
        runs, asked = (self.interpreter, None) if self.conda is None else (self.inputs.interpreter, self.conda.asked)
        try:
            await self.uv.install(self.environment, runs, options, tell, asked)
        except Complaint as complaint:
            return complaint
        return None

    def _left_nothing(self, further: Sequence[str]) -> bool:
        """Whether conda has installed all that uv would be asked for by its bare name: its look takes longer."""
        asked = (*further, *self._local, *self.wanted.packages)
        return self.conda is not None and not asked and kernel.installed(self._packages).issuperset(ALWAYS)

    async def _explained(self, failure: Failure, names: Iterable[str], unfit: Sequence[str]) -> Failure:
        may_be = {failures.NO_SUCH_PACKAGE, failures.BUILD_BROKE, failures.CONFLICT}
        if unfit and self.conda is None and failure.kind in may_be:
            found = await pythons_with.no_wheel(self.uv, unfit[0], failure, self.interpreter, self.work)
            if found is not failure:
                return found
        if failure.kind in {failures.NO_SUCH_PACKAGE, failures.BUILD_BROKE}:
            return mistaken_names.explained(failure, names, self.wanted.packages)
        return failure

    async def _empty(self) -> None:
        """Without what an earlier round installed."""
        if self.conda is not None and not self._installed:
            return
        await asyncio.to_thread(shutil.rmtree, self.environment, ignore_errors=True)
        if self.conda is not None:
            await self.conda.make()
        else:
            await self.uv.venv(self.environment, self.interpreter, self.tell)

    def _options(self, further: Sequence[str]) -> Sequence[str]:
        """uv's arguments; the files they name are written here, since the repository's own may be links to anywhere."""
        packages = [] if self.wanted.elsewhere else list(map(self._asked, self.wanted.packages))
        requirements, constraints = self.work / "requirements.txt", self.work / "constraints.txt"
        overrides = self.work / "overrides.txt"
        built = {canonicalize_name(re.split(r"[\s\[]", line, maxsplit=1)[0]) for line in self._local}
        left_out = [f"{name}; python_version < '0'" for name in sorted(self._addresses - built)]
        overrides.write_text("\n".join([*self._local, *left_out]))
        # The repository's own first: uv decides in this order, so that nothing of ours makes theirs older.
        requirements.write_text("\n".join([*packages, *self._local, *ALWAYS, *further]))
        limits = [*map(self._asked, self.wanted.constraints), *self._held, *self.before]
        constraints.write_text("\n".join(limits))
        return [
            *("-r", str(requirements)),
            *(("-c", str(constraints)) if limits else ()),
            *(("--find-links", str(self.work / "wheels" / "named")) if self._named else ()),
            *(("--overrides", str(overrides)) if self._addresses else ()),
            *(("--prerelease", "allow") if self.wanted.prereleases else ()),
            *(("--exclude-newer", self.wanted.published_before) if self.wanted.published_before else ()),
        ]

    def _asked(self, line: str) -> str:
        """A requirement; without hashes where they are those of sources that were built here."""
        return line.partition(" --hash")[0] if _name(line) in self._named else line

    async def _build_all(self) -> None:
        """pip alone decides, with the options the files give it; the rest comes from the operator's index."""
        self.tell("The requirements name other places to install from: all is fetched and built in a sandbox")
        asked, limits = self.work / "asked.txt", self.work / "limits.txt"
        await asyncio.to_thread(_write, asked, [*self.wanted.elsewhere, *self.wanted.packages])
        await asyncio.to_thread(_write, limits, self.wanted.constraints)
        words = ["-r", _inside(asked), *(("-c", _inside(limits)) if self.wanted.constraints else ())]
        if any(" --hash" in line for line in self.wanted.packages):  # pip has none for sources, and wants all or none
            await self._build_sources()
        else:
            words += [word for source in self.wanted.sources for word in _as_words(source.words + source.extras)]
        wheels = await self._build(words, self.inputs.home, "all", asked, limits)
        self._local += [_requirement(wheel, "") for wheel in wheels]
        await self._addressed(wheels)

    async def _build(self, words: Sequence[str], home: Checkout | None, folder: str, *shown: Path) -> Sequence[Path]:
        """Wheels, in `work/wheels/<folder>`; the sandbox sees the files `shown`."""
        self._runs += 1
        into = self.work / "wheels" / folder
        name = f"build-{self.name}-{self._runs}"
        if self.conda is not None:
            by = Builder(self.conda.runs, self.conda.final)
        else:
            by = await self.wheels.builder(self.interpreter, self.standing, self.tell)
        by = replace(
            by,
            runs=replace(by.runs, mounts=(*by.runs.mounts, *(Mount(path, Path(_inside(path))) for path in shown))),
            until=self.wanted.published_before,
            beside=self.conda is not None and folder == "all",
        )
        async with self.place():
            return await self.wheels.build(name, words, home, by, into, self.tell)


def _inside(path: Path) -> str:
    """Where a build's sandbox has a file."""
    return str(INSIDE / path.name)


def _write(path: Path, lines: Iterable[str]) -> None:
    """For a sandbox, which has other rights."""
    path.write_text("\n".join(lines))
    path.chmod(0o644)


def as_asked(names: Sequence[str], lines: Sequence[str], needed: Sequence[str]) -> list[str]:
    """How pip is asked for these packages: by `needed`, what others want of them, where no line wants a version."""
    decided = {_name(one): one for one in needed}
    return [
        line if re.search("[<>=~]", _asked(line)) or " --hash" in line else decided.get(_name(line), line)
        for name in names
        for line in lines_for(lines, name)
    ]


def _asked(line: str) -> str:
    """Of a requirement what comes before its marker and its options."""
    return re.split(r";| --", line, maxsplit=1)[0].strip()


def _name(line: str) -> str:
    """Of a requirement, as the index spells it."""
    return canonicalize_name(re.split(r"[^\w.-]", line, maxsplit=1)[0])


def _as_words(source: str) -> Sequence[str]:
    """One argument for pip that cannot be an option."""
    return ("--", source) if source.startswith("-") else (source,)


def _requirement(wheel: Path, extras: str) -> str:
    name = re.split("-", wheel.name, maxsplit=1)[0]
    return f"{name}{extras} @ {wheel.as_uri()}"
