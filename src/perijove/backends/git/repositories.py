"""Repositories by git: resolve a ref, fetch a commit into the shared store. Not pure.

A checkout is made aside and renamed, so that one in the store is always whole; a commit wanted by two at once is
fetched once.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp
from weakref import WeakValueDictionary

from perijove.backends.git import checkout, folder
from perijove.backends.git.gate import Gate, Route
from perijove.backends.git.program import git
from perijove.backends.git.size import Allowance, within_size
from perijove.domain.failures import (
    DISK_FULL,
    HOST_UNREACHABLE,
    REF_NOT_FOUND,
    TOO_SLOW,
    Evidence,
    Fail,
    Failure,
)
from perijove.domain.nouns import Checkout, RepoAddress, ResolvedRepo
from perijove.domain.ports import Tell
from perijove.domain.settings import RepositoriesSettings
from perijove.domain.state import State
from perijove.launching.resolve import giturl, refs

_ASIDE = ".aside-"


class GitRepositories:
    """The port Repositories. `private_addresses`: whether visitors may name hosts that are not public."""

    def __init__(self, state: State, settings: RepositoriesSettings, private_addresses: bool) -> None:
        self._store = state.checkouts
        self._settings = settings
        self._gate = Gate(state.checkouts, private_addresses)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def apply(self, settings: RepositoriesSettings, private_addresses: bool) -> None:
        """Other settings from now on; fetches under way keep theirs."""
        self._settings = settings
        self._gate = Gate(self._store, private_addresses)

    async def resolve(self, address: RepoAddress) -> ResolvedRepo:
        """Which commit the ref means. Raises Fail: `resolve.*`."""
        if address.provider == "local":
            return await self._snapshot(address)
        if refs.is_full_commit(address.ref):
            known = ResolvedRepo(address, address.ref.lower(), "")
            if self._place(known).exists():
                return known
        seconds = self._settings.resolve_timeout
        try:
            async with asyncio.timeout(seconds), self._gate.route(address.url) as route:
                advertised = await _advertised(route)
        except TimeoutError as error:
            host = giturl.host_of(address.url)
            cause = f"{host} did not list its branches within {seconds:g} seconds"
            raise Fail(HOST_UNREACHABLE(cause, Evidence("git ls-remote", "no end"))) from error
        choice = refs.choose(advertised, address.ref)
        match choice:
            case refs.Chosen(commit, ref_name):
                return ResolvedRepo(address, commit, ref_name)
            case refs.Unlisted(prefix):
                return ResolvedRepo(address, await self._searched(address, prefix), "")
            case refs.Missing():
                raise Fail(_missing(address, advertised, choice))

    async def fetch(self, repo: ResolvedRepo, tell: Tell) -> Checkout:
        """That commit's files, from the store where they are. Raises Fail: `resolve.*`, `platform.disk-full`."""
        place = self._place(repo)
        if notice := refs.default_branch_taken(repo.address.ref, repo.ref_name):
            tell(notice)
        if not place.exists():
            async with self._lock(place.name):
                if not place.exists():
                    await self._made(repo, place, tell)
        return Checkout(repo, place)

    def sweep(self) -> None:
        """Remove what interrupted fetches left. Call before the first fetch."""
        for left in self._store.glob(f"{_ASIDE}*"):
            shutil.rmtree(left, ignore_errors=True)

    async def prune(self, keep: Collection[ResolvedRepo]) -> int:
        """Remove all checkouts but these; how many went."""
        kept = {self._place(repo) for repo in keep}
        gone = [place for place in self._store.iterdir() if place not in kept and not place.name.startswith(_ASIDE)]
        # Renamed first: one that is half removed must never be found.
        for aside in [place.rename(place.with_name(f"{_ASIDE}{place.name}")) for place in gone]:
            await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)
        return len(gone)

    def _allowance(self) -> Allowance:
        return Allowance(self._settings.max_size, self._settings.max_files)

    def _place(self, repo: ResolvedRepo) -> Path:
        name = hashlib.sha256(f"{repo.address.url}\0{repo.commit}".encode()).hexdigest()[:32]
        return self._store / name

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    @asynccontextmanager
    async def _aside(self) -> AsyncIterator[Path]:
        """A folder beside the checkouts that is gone afterwards, unless it was renamed; with the limit of time."""
        aside = Path(await asyncio.to_thread(mkdtemp, prefix=_ASIDE, dir=self._store))
        seconds = self._settings.fetch_timeout
        try:
            async with asyncio.timeout(seconds):
                yield aside
        except TimeoutError as error:
            raise Fail(
                TOO_SLOW(f"it was not done after {seconds:g} seconds", Evidence("git fetch", "no end"))
            ) from error
        except OSError as error:
            if error.errno in folder.DISK_ERRNOS:
                raise Fail(
                    DISK_FULL("the disk filled up while fetching", Evidence(str(self._store), str(error)))
                ) from error
            raise
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True))

    async def _made(self, repo: ResolvedRepo, place: Path, tell: Tell) -> None:
        if repo.address.provider == "local":
            raise Fail(folder.changed(repo.address.url))
        allowance = self._allowance()
        async with self._aside() as aside:
            making = checkout.made(self._gate, repo, aside / "tree", allowance, tell)
            await within_size(aside, allowance.max_size, making)
            (aside / "tree").rename(place)

    async def _snapshot(self, address: RepoAddress) -> ResolvedRepo:
        """A local folder is copied when it is resolved: what was seen then is what will be served."""
        source = Path(address.url)
        commit = await folder.digest(source, self._allowance())
        repo = ResolvedRepo(address, commit, "")
        if self._place(repo).exists():
            return repo
        async with self._aside() as aside:
            copy = aside / "tree"
            repo = ResolvedRepo(address, await folder.copied(source, copy, self._allowance()), "")
            place = self._place(repo)
            if not place.exists():
                copy.rename(place)
        return repo

    async def _searched(self, address: RepoAddress, prefix: str) -> str:
        """The full name of a commit that no listed ref stands at."""
        async with self._aside() as aside, self._gate.route(address.url) as route:
            finding = checkout.found(route, prefix, aside)
            commit = await within_size(aside, self._settings.max_size, finding)
        if not commit:
            cause = f"{address.url} has no single commit {prefix}"
            raise Fail(REF_NOT_FOUND(cause, Evidence("commits of all branches and tags", "no such commit")))
        return commit


async def _advertised(route: Route) -> refs.Advertised:
    ran = await git("ls-remote", "--symref", "--", route.url, cwd=route.cwd, call=route.call)
    if ran.status != 0:
        raise Fail(route.failure(ran.said))
    return refs.listed(ran.out.decode("utf-8", "surrogateescape"))


def _missing(address: RepoAddress, advertised: refs.Advertised, choice: refs.Missing) -> Failure:
    if not advertised.refs:
        return REF_NOT_FOUND(
            f"{address.url} is empty",
            Evidence("git ls-remote", "no branches and no tags"),
            remedy="Push a commit to it.",
        )
    if choice.ambiguous:
        seen = [Evidence("commits that begin so", commit) for commit in choice.ambiguous[:5]]
        return REF_NOT_FOUND(
            f"{address.ref} begins the names of several commits", *seen, remedy="Write more of its digits."
        )
    seen = [Evidence("a similar name", giturl.shown(name)) for name in choice.similar]
    count = Evidence("git ls-remote", f"{len(advertised.refs)} refs, none of this name")
    return REF_NOT_FOUND(f"{address.url} has no {giturl.shown(address.ref)}", *(seen or [count]))
