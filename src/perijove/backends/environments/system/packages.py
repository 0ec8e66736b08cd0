"""Packages of the distribution, as a layer over the base: decided by apt, fetched by apt, installed by apt.

In: a base and names. Out: a `System` with the exact set of packages, and the folder that they make. Three sandboxes:
one that may reach the mirror and runs nothing of a package's decides; another fetches; the one that installs, and so
runs what packages bring, reaches nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from perijove import durable
from perijove.backends.environments.store import full_disk_told
from perijove.backends.environments.system import scripts, words
from perijove.backends.environments.system.bases import TEXT, Base, Bases
from perijove.domain import failures, sizes
from perijove.domain.build_inputs import System, SystemPackage
from perijove.domain.confinement import Beyond
from perijove.domain.failures import Fail, Failure
from perijove.domain.nouns import ForeignRun, InstallSystem, Mount, ResolvedRepo
from perijove.domain.ports import Confined, ForeignCode, Place, Tell
from perijove.domain.ran import Ran
from perijove.domain.state import State
from perijove.domain.system_failures import SYSTEM_INSTALL_FAILED

LISTS = Path("/var/lib/apt/lists")
ARCHIVES = Path("/var/cache/apt/archives")
KEPT_LISTS = 2
"""Of one base: a build may still read those before the latest."""
KEPT = 5000
"""Decisions; the latest used."""
HELPER = "/usr/lib/apt/apt-helper"


class Packages:
    """Decides on them and installs them."""

    def __init__(self, state: State, bases: Bases, foreign: ForeignCode, confined: Confined) -> None:
        self._state = state
        self._bases = bases
        self._foreign = foreign
        self._confined = confined
        self._listing = asyncio.Lock()
        self._fetching = asyncio.Lock()
        self._numbers = 0

    async def decided(
        self, base: Base, step: InstallSystem, repo: ResolvedRepo, tell: Tell, *, again: bool = False
    ) -> System:
        """What was decided for this commit on this base, or is now; with `again` it is now.

        Raises Fail: `build.*`, `platform.*`.
        """
        path = self._decision(base, step.names, repo)
        found = None if again else await asyncio.to_thread(_read, path)
        if found is None:
            tell(f"Looking for what {', '.join(step.names)} needs")
            with full_disk_told(self._state.apt):
                found = await self._planned(base, step, await self._lists(base, tell), tell)
                await asyncio.to_thread(durable.write, path, json.dumps([asdict(one) for one in found]).encode())
        return System(base.key, step.path, step.names, found)

    def layer(self, system: System) -> Path | None:
        """The folder that its packages make over the base, where it stands; None where it needs none."""
        return self._state.layers / system.key / "root" if system.packages else None

    async def made(self, base: Base, system: System, repo: ResolvedRepo, tell: Tell, place: Place) -> None:
        """See to it that the layer stands. Raises Fail: `build.*`, `start.sandbox-failed`, `platform.*`."""
        layer = self.layer(system)
        if layer is None or layer.is_dir():
            return
        # The same packages are fetched once, and one apt at a time has the processors.
        async with place(), self._fetching:
            if layer.is_dir():
                return
            try:
                await self._fetched(base, system.packages, tell)
            except Fail:  # it may be that the mirror has other versions by now
                await asyncio.to_thread(self._forget, base, self._decision(base, system.asked, repo))
                raise
            await self._installed(base, system, layer.parent, tell)

    async def _lists(self, base: Base, tell: Tell) -> Path:
        """What the mirror lists, not older than the settings allow; where it does not answer, what it listed last."""
        async with self._listing:
            known = sorted(self._state.apt_lists.glob(f"{base.key}-*"), reverse=True)
            for old in known[KEPT_LISTS:]:
                await asyncio.to_thread(shutil.rmtree, old, ignore_errors=True)
            if known and time.time() - known[0].stat().st_mtime < self._bases.settings.lists_max_age:
                return known[0]
            tell("Asking the mirror for its lists of packages")
            fresh = self._state.apt_lists / f"{base.key}-{time.time_ns():020}"
            try:
                return await self._listed(base, fresh, tell)
            except Fail as fail:
                if not known or not fail.failure.kind.code.startswith("build.mirror"):
                    raise
                tell(f"{fail.failure.message} What it listed before is used")
                return known[0]

    async def _listed(self, base: Base, fresh: Path, tell: Tell) -> Path:
        aside = fresh.with_name(f".{fresh.name}.{os.getpid()}")
        try:
            run = self._bases.run(self._name("lists"), ("/bin/sh", "-c", scripts.UPDATE), base.root, result="lists")
            ran, said = await self._heard(run, aside, tell)
            if ran.status or not any(aside.glob("*_Packages*")):
                raise Fail(await self._meaning(words.fetch_failure, said, ran.unreached))
            aside.rename(fresh)
        finally:
            await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)
        return fresh

    async def _planned(self, base: Base, step: InstallSystem, lists: Path, tell: Tell) -> tuple[SystemPackage, ...]:
        into = self._state.apt / f".plan-{time.monotonic_ns()}.{os.getpid()}"
        command = ("/bin/sh", "-c", scripts.PLAN, "sh", *step.names)
        shown = (Mount(lists, LISTS),)
        run = self._bases.run(self._name("plan"), command, base.root, result="told", network=False, mounts=shown)
        try:
            ran, said = await self._heard(run, into, tell)
            if ran.status:
                raise Fail(await self._meaning(words.install_failure, step.path, said))
            told = [_text(into / name) for name in ("known", "uris", "words", "status")]
            return await self._confined.call(words.planned, step.path, step.names, *told)
        except Beyond as beyond:
            raise Fail(beyond.told(failures.BAD_FILE, "what apt says of apt.txt")) from beyond
        finally:
            await asyncio.to_thread(shutil.rmtree, into, ignore_errors=True)

    async def _fetched(self, base: Base, packages: Sequence[SystemPackage], tell: Tell) -> None:
        (self._state.apt_archives / "partial").mkdir(exist_ok=True)
        missing = [one for one in packages if not (self._state.apt_archives / one.archive).exists()]
        if not missing:
            return
        size = sum(one.size for one in missing)
        tell(f"Fetching {len(missing)} packages of the system, {sizes.size(size)}")
        words_of = [(one.address, f"/root/debs/{one.archive}", f"SHA256:{one.sha256}") for one in missing]
        command = (
            "/bin/sh",
            "-c",
            scripts.FETCH,
            "sh",
            HELPER,
            "download-file",
            *(word for one in words_of for word in one),
        )
        into = self._state.apt / f".debs-{time.monotonic_ns()}.{os.getpid()}"
        try:
            run = self._bases.run(self._name("fetch"), command, base.root, result="debs")
            ran, said = await self._heard(run, into, None)
            if ran.status:
                raise Fail(await self._meaning(words.fetch_failure, said, ran.unreached))
            for one in missing:
                (into / one.archive).rename(self._state.apt_archives / one.archive)
        except FileNotFoundError as error:
            raise Fail(words.fetch_failure((f"{error.filename} did not come",), ())) from error
        finally:
            await asyncio.to_thread(shutil.rmtree, into, ignore_errors=True)

    async def _installed(self, base: Base, system: System, folder: Path, tell: Tell) -> None:
        tell(f"Installing {len(system.packages)} packages of the system")
        aside = folder.with_name(f".{folder.name}.{time.monotonic_ns()}.{os.getpid()}")
        shown = (Mount(self._state.apt_archives, ARCHIVES),)
        # Just the files that were decided on, whatever the mirror lists by now.
        files = (str(ARCHIVES / one.archive) for one in system.packages)
        command = ("/bin/sh", "-c", scripts.INSTALL, "sh", *files)
        run = self._bases.run(self._name("apt"), command, base.root, layers=True, network=False, mounts=shown)
        try:
            ran, said = await self._heard(run, aside, tell)
            if ran.status:
                raise Fail(await self._meaning(words.install_failure, system.path, said))
            await asyncio.to_thread(shutil.rmtree, aside / "home")
            aside.rename(folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)

    async def _heard(self, run: ForeignRun, into: Path, tell: Tell | None) -> tuple[Ran, tuple[str, ...]]:
        """With its last lines."""
        said: list[str] = []

        def heard(line: str) -> None:
            said.append(line)
            del said[:-200]
            if tell is not None:
                tell(line)

        return (await self._foreign.run(run, into, heard)).not_killed("apt"), tuple(said)

    async def _meaning(self, function: Callable[..., Failure], *given: object) -> Failure:
        try:
            return await self._confined.call(function, *given)
        except Beyond as beyond:
            return beyond.told(SYSTEM_INSTALL_FAILED, "what apt said")

    def _name(self, what: str) -> str:
        self._numbers += 1
        return f"{what}-{os.getpid()}-{self._numbers}"

    def _decision(self, base: Base, names: Sequence[str], repo: ResolvedRepo) -> Path:
        """A commit stays as it was decided; another may be decided otherwise."""
        of = [base.key, names, repo.address.url, repo.commit]
        return self._state.apt_decided / f"{hashlib.sha256(json.dumps(of).encode()).hexdigest()[:32]}.json"

    def _forget(self, base: Base, decision: Path) -> None:
        decision.unlink(missing_ok=True)
        for lists in self._state.apt_lists.glob(f"{base.key}-*"):
            os.utime(lists, (0, 0))

    def tidy(self, used: Sequence[str]) -> None:
        """Remove layers that nothing stands on, and what was fetched for them. `used`: their keys. Synchronous."""
        for path in self._state.layers.iterdir():
            if path.name not in used and not path.name.startswith("."):
                shutil.rmtree(path)
        for path in self._state.apt_archives.glob("*.deb"):
            path.unlink()
        held = sorted(self._state.apt_decided.glob("*.json"), key=lambda path: -path.stat().st_mtime)
        for path in held[KEPT:]:
            path.unlink()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(TEXT).decode(errors="replace")
    except FileNotFoundError:
        return ""


def _read(path: Path) -> tuple[SystemPackage, ...] | None:
    try:
        found = tuple(SystemPackage(**one) for one in json.loads(path.read_bytes()))
        os.utime(path)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return found
