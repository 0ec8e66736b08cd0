"""The base: which one the settings mean, prepared at first need, kept in the store by what it holds.

In: `platform.*`. Out: a `Base`, whose folders, laid over one another, are a Debian's root file system.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import tarfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from errno import EEXIST, ENOTEMPTY
from pathlib import Path
from urllib.parse import urlsplit

from perijove import durable
from perijove.backends.environments import complaints
from perijove.backends.environments.store import full_disk_told
from perijove.backends.environments.system import bootstrap, registry, scripts, unpacking, words
from perijove.backends.environments.uv import Uv
from perijove.domain import sizes
from perijove.domain.build_inputs import Interpreter
from perijove.domain.confinement import Beyond, Bounds, Identity
from perijove.domain.failures import BUILD_DISK, BUILD_TOO_SLOW, Evidence, Fail, Failure
from perijove.domain.nouns import Egress, ForeignRun, Limits, Mount
from perijove.domain.ports import Confined, ForeignCode, Tell
from perijove.domain.ran import Ran
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State
from perijove.domain.system_failures import BASE_FAILED, BASE_IN_USE, BASE_UNREACHABLE, BASE_UNUSABLE
from perijove.domain.system_settings import PlatformSettings, image

FORMAT = 1
"""Rises when a base is made otherwise from the same packages."""
NOTE = "base.json"
NO_PYTHON = 65
"""Exit status of `scripts.SETTLE`."""
TEXT = 4 * 1024**2
"""Bytes that are read of what a base says."""
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""Whom to trust, in the base."""
OURS = (
    CERTIFICATES,
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),
)
"""Where this machine may say that."""


@dataclass(frozen=True, slots=True)
class Base:
    """One that stands."""

    key: str
    path: Path
    made_from: str
    packages: int
    glibc: str
    """`2.41`"""
    python: str
    """Version of its interpreter."""
    executable: str
    prefix: str
    made_at: float
    """Unix seconds."""

    @property
    def root(self) -> tuple[Path, ...]:
        """Its folders, the lowest first."""
        return (self.path / "raw", self.path / "root")

    @property
    def interpreter(self) -> Interpreter:
        return Interpreter(self.python, Path(self.executable), Path(self.prefix), self.glibc)


def choice(state: State, settings: PlatformSettings) -> Path:
    """The file that says which base was made for these settings."""
    of = [FORMAT, settings.base, settings.suite, settings.mirror, settings.security_mirror, *settings.packages]
    return state.bases / f"chosen-{hashlib.sha256(json.dumps(of).encode()).hexdigest()[:16]}"


def chosen(state: State, settings: PlatformSettings) -> Base | None:
    """The base that these settings mean, where it stands."""
    try:
        return named(state, choice(state, settings).read_text().strip())
    except FileNotFoundError:
        return None


def named(state: State, key: str) -> Base | None:
    """The base of a key, where it stands."""
    path = state.bases / key
    try:
        told = json.loads((path / NOTE).read_bytes())
        return Base(**{**told, "key": key, "path": path})
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def impossible(state: State, settings: PlatformSettings) -> Failure | None:
    """Why the base that the settings mean is not there and cannot be made, as far as that shows beforehand."""
    if chosen(state, settings) is not None:
        return None
    if settings.base == bootstrap.PROGRAM and bootstrap.program() is None:
        return bootstrap.missing(bootstrap.PROGRAM)
    if settings.base.startswith("/") and not Path(settings.base).exists():
        return BASE_UNREACHABLE("what platform.base names cannot be read", Evidence(settings.base, "is not there"))
    return None


@dataclass(eq=False)
class Bases:
    """Those below `state.bases`."""

    _state: State
    settings: PlatformSettings
    build: BuildSettings
    _foreign: ForeignCode
    _confined: Confined
    _uv: Uv
    _making: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def chosen(self) -> Base | None:
        """The one that the settings mean, where it stands."""
        return chosen(self._state, self.settings)

    def named(self, key: str) -> Base | None:
        """The base of this key, where it stands."""
        return named(self._state, key)

    def all(self) -> Sequence[Base]:
        """Those that stand, the latest made first."""
        keys = (path.name for path in self._state.bases.iterdir() if path.is_dir() and not path.name.startswith("."))
        found = [base for base in map(self.named, keys) if base is not None]
        return sorted(found, key=lambda base: -base.made_at)

    async def ready(self, tell: Tell, *, again: bool = False) -> Base:
        """The one that the settings mean, made where there is none. Raises Fail: `platform.*`, `build.*`."""
        async with self._making:
            if not again and (there := self.chosen()) is not None:
                return there
            began = time.monotonic()
            tell(f"Preparing the base: Debian {self.settings.suite} from {self.settings.base}, which is done once")
            try:
                with full_disk_told(self._state.bases):
                    async with asyncio.timeout(self.build.timeout):
                        base = await self._made(tell)
                    await asyncio.to_thread(durable.write, choice(self._state, self.settings), base.key.encode())
            except TimeoutError as error:
                where = Evidence("build.timeout", f"{self.build.timeout:.0f} s")
                raise Fail(BUILD_TOO_SLOW("the base was not prepared in time", where)) from error
            size = await asyncio.to_thread(size_of, base.path)
            took = time.monotonic() - began
            tell(f"The base is prepared: {base.packages} packages, {sizes.size(size)}, {took:.0f} s")
            return base

    async def remove(self, key: str, used: Sequence[str]) -> None:
        """Forget it; `used`: the keys of those that environments stand on. Raises Fail: `platform.base-in-use`."""
        if key in used:
            raise Fail(BASE_IN_USE(f"{used.count(key)} environments stand on it", Evidence("base", key)))
        aside = self._state.bases / f".removed-{key}.{os.getpid()}"
        (self._state.bases / key).rename(aside)
        await asyncio.to_thread(shutil.rmtree, aside)

    async def _made(self, tell: Tell) -> Base:
        async with self._uv.aside(self._state.bases / "base") as work:
            named = await self._raw(work, tell)
            made = work / "made"
            await asyncio.to_thread(self._confined.take_back, work)
            made.mkdir(mode=0o755)
            (work / "raw").rename(made / "raw")
            if not (made / "raw/usr/bin/apt-get").exists():
                raise Fail(BASE_UNUSABLE("there is no apt in it", Evidence("usr/bin/apt-get", "is not there")))
            told = await self._settled(made, tell)
            key = hashlib.sha256(f"{FORMAT}\0{named}\0{told['packages']}".encode()).hexdigest()[:32]
            base = _described(key, self._state.bases / key, self._origin(), told)
            note = {name: value for name, value in asdict(base).items() if name not in {"key", "path"}}
            (made / NOTE).write_text(json.dumps(note, indent=1))
            try:
                made.rename(base.path)
            except OSError as error:  # the same stands already
                if error.errno not in {EEXIST, ENOTEMPTY}:
                    raise
            return base

    def _origin(self) -> str:
        return f"{self.settings.suite} from {self.settings.base}"

    async def _raw(self, work: Path, tell: Tell) -> str:
        """The folder `raw` in `work`, as whoever made it left it; what names its content."""
        settings, wanted, room = self.settings, image(self.settings.base), self._uv.room()
        raw = work / "raw"
        try:
            if wanted is not None:
                bounds = self._bounds(work)
                layers = await self._confined.run(registry.fetched, wanted, work, room, bounds=bounds, tell=tell)
                await self._confined.call(unpacking.unpacked, layers, raw, room, bounds=bounds)
                return wanted.digest
            if settings.base.startswith("/"):
                archive = await asyncio.to_thread(archived, Path(settings.base), work)
                await self._confined.call(unpacking.unpacked, (archive,), raw, room, bounds=self._bounds(work))
                return await asyncio.to_thread(_hash, archive)
            release = bootstrap.Release(settings.suite, settings.mirror, proxies())
            return await self._confined.run(bootstrap.made, release, work, bounds=self._bounds(work), tell=tell)
        except Beyond as beyond:
            raise Fail(beyond.told(BASE_UNUSABLE, "what the base is made from")) from beyond

    def _bounds(self, work: Path) -> Bounds:
        build = self.build
        cpu = int(build.timeout * (os.cpu_count() or 1)) + 1
        bounds = (Identity.INSTALLER, build.timeout, cpu, build.memory, build.environment_size)
        return Bounds(*bounds, writes=(work,))

    async def _settled(self, made: Path, tell: Tell) -> dict[str, str]:
        """Have its packages' scripts run, over it; what it says of itself."""
        settings, into, said = self.settings, made.with_name("settled"), list[str]()

        def heard(line: str) -> None:
            said.append(line)
            del said[:-200]
            tell(line)

        chosen = {"SUITE": settings.suite, "MIRROR": settings.mirror, "SECURITY": settings.security_mirror}
        environ = {**scripts.ENVIRON, **chosen, "PACKAGES": " ".join(settings.packages)}
        run = self.run("base", ("/bin/sh", "-c", scripts.SETTLE), (made / "raw",), environ=environ, layers=True)
        ran = (await self._foreign.run(run, into, heard)).not_killed("apt")
        if ran.status:
            raise Fail(refused(ran, tuple(said)))
        (into / "root").rename(made / "root")
        await asyncio.to_thread(_slimmed, made / "raw", made / "root")
        told = into / "home" / "told"
        return {path.name: path.read_bytes()[:TEXT].decode(errors="replace") for path in sorted(told.iterdir())}

    def run(
        self,
        name: str,
        command: Sequence[str],
        root: Sequence[Path],
        *,
        result: str = "",
        layers: bool = False,
        network: bool = True,
        mounts: Sequence[Mount] = (),
        environ: dict[str, str] | None = None,
    ) -> ForeignRun:
        """A sandbox that is a system's only user, and reaches its mirrors alone."""
        hosts = tuple(dict.fromkeys(map(_door, filter(None, (self.settings.mirror, self.settings.security_mirror)))))
        settings = self.build
        limits = Limits(settings.memory, float(os.cpu_count() or 1), 1024, settings.disk, settings.disk)
        return ForeignRun(
            name=name,
            command=tuple(command),
            environ=tuple((environ or scripts.ENVIRON).items()),
            mounts=(*(_trusted() if network else ()), *mounts),
            home_from=None,
            result=result,
            limits=limits,
            egress=Egress.NONE,
            egress_allowed=hosts if network else (),
            timeout=settings.timeout,
            layers=layers,
            root=tuple(root),
            system=True,
        )


def certificates() -> tuple[Mount, ...]:
    """This machine's own trust, shown in a base: an operator's proxy or index may be known by it alone."""
    found = next((path for path in OURS if path.is_file()), None)
    return (Mount(found.resolve(), CERTIFICATES),) if found is not None else ()


def _trusted() -> tuple[Mount, ...]:
    """The same for apt, apart from what a base's own packages put there."""
    return tuple(Mount(mount.source, Path(scripts.TRUSTED)) for mount in certificates())


def proxies() -> dict[str, str]:
    """This machine's way to the network."""
    names = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def size_of(folder: Path) -> int:
    """Bytes on disk."""
    walked = os.walk(folder)
    return sum(os.lstat(os.path.join(here, name)).st_blocks * 512 for here, _, names in walked for name in names)


def _slimmed(below: Path, above: Path) -> None:
    """Without the files that nobody sees, for others lie over them."""
    for here, _, names in os.walk(above):
        inside = below / Path(here).relative_to(above)
        for name in names:
            path = inside / name
            if path.is_symlink() or path.is_file():
                path.unlink()


def _described(key: str, path: Path, origin: str, told: dict[str, str]) -> Base:
    try:
        python, executable, prefix = told["python"].split()
        glibc = told["glibc"].split()[1]
    except (KeyError, ValueError, IndexError) as error:
        raise Fail(BASE_UNUSABLE("it does not say what it holds", Evidence("base", str(told)[-300:]))) from error
    return Base(key, path, origin, told["packages"].count("\n"), glibc, python, executable, prefix, time.time())


def refused(ran: Ran, said: tuple[str, ...]) -> Failure:
    """Why its packages' scripts did not get to their end."""
    last = Evidence("base", "\n".join(said[-30:]) or "it said nothing")
    if complaints.FULL.search(last.saw):
        return BUILD_DISK("No space is left", last)
    if killed := words.killed(said):
        return killed
    if ran.status == NO_PYTHON:
        return BASE_UNUSABLE("there is no python3 in it", last)
    if ran.unreached or words.unfetched(said):
        proxys = (Evidence("egress proxy", one.said) for one in ran.unreached)
        return BASE_UNREACHABLE("apt could not fetch its packages", *proxys, last)
    return BASE_FAILED("its packages cannot be installed", last)


def archived(source: Path, work: Path) -> Path:
    """A tar file of ours, which a confined call can read."""
    archive = work / "given.tar"
    try:
        if source.is_dir():
            with tarfile.open(archive, "w") as tar:
                tar.add(source, ".")
        else:
            shutil.copyfile(source, archive)
    except OSError as error:
        raise Fail(
            BASE_UNREACHABLE("what platform.base names cannot be read", Evidence(str(source), str(error)))
        ) from error
    archive.chmod(0o644)
    return archive


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _door(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
