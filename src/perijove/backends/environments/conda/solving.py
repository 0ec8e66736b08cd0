"""Which conda packages satisfy what is asked for. Runs confined, as `linking`; no other module imports rattler."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from rattler import (
    BuildString,
    Channel,
    Gateway,
    GenericVirtualPackage,
    MatchSpec,
    PackageName,
    RepoDataRecord,
    SourceConfig,
    Subdir,
    Version,
    VirtualPackage,
)
from rattler import (
    solve as rattler_solve,
)
from rattler.exceptions import GatewayError, InvalidMatchSpecError, SolverError
from rattler.lock import LockChannel, LockFile, LockPlatform
from rattler.networking import Client, MirrorMiddleware, RetryMiddleware

from perijove.backends.environments.conda.asked import Answer, Question, World
from perijove.backends.environments.conda.words import failure, shown, unknown
from perijove.domain.conda_failures import BAD_PACKAGE, WRONG_PLATFORM
from perijove.domain.failures import BAD_FILE, Evidence, Fail, Failure

ELSEWHERE = ("osx-64", "osx-arm64", "win-64", "linux-64", "linux-aarch64")
"""Platforms that an environment may have been written down on."""
MOST_ASKED = 300
"""Specs that are looked for on other platforms."""
_FILE_NAME = re.compile(r"[A-Za-z0-9_.+!-]{1,250}")
AGENT = "perijove"


def client(world: World) -> Client:
    """Without credentials of anybody's: tokens stand in the addresses of mirrors."""
    mirrors = {channel: [instead] for channel, instead in world.mirrors}
    return Client([MirrorMiddleware(mirrors), RetryMiddleware(2)], user_agent=AGENT)


async def solve(world: World, question: Question) -> Answer:
    """Raises Fail: `build.*`."""
    gateway = Gateway(cache_dir=world.lists, client=client(world), default_config=SourceConfig())
    asking = _Asking(world, question, gateway)
    absent: set[str] = set()
    attempts = _attempts(question)
    usual, pythons = attempts.pop(0)
    while True:
        ours = [name for name in (*question.added, *usual) if name not in absent]
        try:
            records = await asking.solved((*question.specs, *ours, *pythons))
            break
        except SolverError as error:
            if lacking := {name.split()[0] for name in unknown(str(error))}.intersection(ours):
                absent |= lacking
            elif attempts:
                usual, pythons = attempts.pop(0)
            else:
                raise Fail(await asking.meant(error)) from error
        except GatewayError as error:
            raise Fail(failure(str(error), "solving")) from error
    notes: list[str] = []
    if question.usual and not usual:
        notes.append(f"Left out, for it does not fit with what the file asks for: {', '.join(question.usual)}")
    if question.preferred and pythons != (question.preferred,):
        notes.append(f"{question.path} names no Python that is preferred here and fits: another one is taken")
    for record in records:
        check(record, world)
    python = next((str(one.version) for one in records if one.name.normalized == "python"), "")
    return Answer(written(records, question.channels, world), python, tuple(notes))


def _attempts(question: Question) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """What of ours is asked for beside the file's own, and which Python, the best first."""
    if not question.preferred:
        return [(question.usual, ()), ((), ())]
    pythons = ((question.preferred,), ("python",))
    return [*((usual, python) for usual in (question.usual, ()) for python in pythons), ((), ())]


class _Asking:
    def __init__(self, world: World, question: Question, gateway: Gateway) -> None:
        self._world, self._question, self._gateway = world, question, gateway
        self._channels = [Channel(url) for url in question.channels]
        told = {text.partition("=")[0]: _virtual(text) for text in question.virtual}
        here = {str(one.into_generic()).partition("=")[0]: one.into_generic() for one in VirtualPackage.detect()}
        self._virtual = list((here | told).values())

    async def solved(self, specs: Sequence[str]) -> list[RepoDataRecord]:
        return await rattler_solve(
            self._channels,
            [self._spec(text) for text in specs],
            gateway=self._gateway,
            platforms=[Subdir(self._world.platform), Subdir("noarch")],
            virtual_packages=self._virtual,
            timeout=timedelta(seconds=self._question.seconds),
            channel_relations="disabled",
        )

    async def meant(self, error: SolverError) -> Failure:
        """The failure it is; specs that only another platform has say that the file comes from there."""
        words = str(error)
        told = failure(words, "solving")
        lacking = {name.split()[0] for name in unknown(words)}
        asked = [text for text in self._question.specs if self._spec(text).name.normalized in lacking]
        where = await self._platforms(asked[:MOST_ASKED]) if asked else {}
        if not where:
            return told
        platform, found = max(where.items(), key=lambda one: len(one[1]))
        cause = f"{', '.join(found[:5])}{' …' if len(found) > 5 else ''} is to be had for {platform} only"
        return WRONG_PLATFORM(cause, Evidence(self._question.path, "\n".join(found)[:2000]), *told.evidence)

    async def _platforms(self, specs: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for platform in ELSEWHERE:
            if platform == self._world.platform:
                continue
            for text in specs:
                try:
                    answer = await self._gateway.query(
                        self._channels, [Subdir(platform)], [self._spec(text)], recursive=False
                    )
                except GatewayError:
                    break  # no channel has that platform
                if any(answer):
                    found.setdefault(platform, []).append(text)
        return found

    def _spec(self, text: str) -> MatchSpec:
        try:
            spec = MatchSpec(_tidied(text))
        except InvalidMatchSpecError as error:
            raise Fail(_bad_spec(self._question.path, text, shown(str(error)))) from error
        if spec.name is None:
            raise Fail(_bad_spec(self._question.path, text, "it names no package"))
        return spec


def check(record: RepoDataRecord, world: World) -> None:
    """Whatever of a record becomes a part of a path or an address. Raises Fail: `build.bad-package`."""
    name = f"{record.name.normalized}-{record.version}-{record.build}"
    where = record.python_site_packages_path or ""
    odd = PurePosixPath(where).is_absolute() or ".." in PurePosixPath(where).parts
    address = urlsplit(record.url)
    if not _FILE_NAME.fullmatch(name) or not _FILE_NAME.fullmatch(record.file_name) or odd:
        raise Fail(BAD_PACKAGE(f"{name[:200]} is named like no package", Evidence(shown(record.url)[:500], name[:300])))
    if address.scheme not in {"http", "https"} or address.hostname not in world.hosts:
        cause = f"{name} lies at {address.hostname or address.scheme}, where packages are not fetched from"
        raise Fail(BAD_PACKAGE(cause, Evidence(name, shown(record.url)[:500])))
    if record.sha256 is None and record.md5 is None:
        raise Fail(BAD_PACKAGE(f"{name} has no hash in its channel", Evidence(name, shown(record.url)[:500])))


def written(records: Sequence[RepoDataRecord], channels: Sequence[str], world: World) -> str:
    """The records as a lock file."""
    lock = LockFile([LockPlatform(world.platform)])
    lock.set_channels("default", [LockChannel(url) for url in channels])
    (platform,) = lock.platforms()
    for record in records:
        lock.add_conda_package("default", platform, record)
    with tempfile.TemporaryDirectory(dir=world.cache, prefix=".written-") as folder:
        path = Path(folder) / "pixi.lock"
        lock.to_path(path)
        return path.read_text()


def _virtual(text: str) -> GenericVirtualPackage:
    name, _, rest = text.partition("=")
    version, _, build = rest.partition("=")
    return GenericVirtualPackage(PackageName(name), Version(version or "0"), BuildString(build or "0"))


def _tidied(text: str) -> str:
    """`numpy = 1.2 = b` as conda reads it, and as rattler does not."""
    found = re.fullmatch(r"([\w.:/-]+)\s*=\s*([\w.*+!]+)\s*=\s*([\w.*+!]+)", text)
    return "=".join(found.groups()) if found else text


def _bad_spec(path: str, text: str, why: str) -> Failure:
    return BAD_FILE(f"{path} cannot be used: {text[:100]!r} is no conda package", Evidence(path, why[:500]))
