"""Repositories by git: resolve a ref, fetch a commit into the shared store. Not pure.

A checkout is made aside and renamed, so that one in the store is always whole; a commit wanted by two at once is
fetched once. What meets strangers' bytes runs confined: here are names, locks and the rename.
"""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from weakref import WeakValueDictionary

from perijove.backends.git import fetching, folder
from perijove.backends.git.access import Access, access, for_person, is_private
from perijove.backends.git.size import Allowance
from perijove.backends.git.words import OPENED_BY_TOKENS, found_by, lacking
from perijove.cached import Cached
from perijove.domain.confinement import MIB, Beyond, Bounds, Identity, Limit
from perijove.domain.failures import BAD_TREE, HOST_UNREACHABLE, REF_NOT_FOUND, TOO_LARGE, TOO_SLOW, Evidence, Fail
from perijove.domain.nouns import Checkout, RefNames, RepoAddress, ResolvedRepo
from perijove.domain.people import HostToken, HostTokens, host_of
from perijove.domain.ports import Confined, Tell
from perijove.domain.settings import RepositoriesSettings
from perijove.domain.state import State
from perijove.launching.resolve import giturl, refs

_ASIDE = ".aside-"
REMEMBERED = 500
"""Links that are resolved, or were within the last second; of more, some are resolved twice."""


class _Turn(asyncio.Lock):
    """One fetch of a commit at a time; it is there as long as somebody fetches or waits."""

    failed: Fail | None = None
    """What the last one came to, for all who waited for it: each would wait as long for a host that hangs."""


@dataclass(eq=False)
class GitRepositories:
    """The port Repositories."""

    state: State
    _settings: RepositoriesSettings
    _private_addresses: bool
    """Whether visitors may name hosts that are not public."""
    _confined: Confined
    _tokens: HostTokens | None = None
    now: Callable[[], float] = time.monotonic
    renewed: Callable[[HostToken], Awaitable[HostToken]] | None = None
    _resolving: dict[tuple[RepoAddress, str], Cached[ResolvedRepo]] = field(default_factory=dict, init=False)
    _locks: WeakValueDictionary[str, _Turn] = field(default_factory=WeakValueDictionary, init=False)

    def __post_init__(self) -> None:
        self._store = self.state.checkouts

    def apply(self, settings: RepositoriesSettings, private_addresses: bool) -> None:
        """Other settings from now on; fetches under way keep theirs."""
        self._settings = settings
        self._private_addresses = private_addresses

    async def resolve(self, address: RepoAddress, person: str = "") -> ResolvedRepo:
        """Which commit the ref means, or meant within the last second: a class that clicks at once asks its host once.

        A person's token is shown where the host lets nobody in without. Raises Fail: `resolve.*`, `platform.killed`.
        """
        if address.provider == "local":
            return await self._snapshot(address)
        try:
            return await self._remembered(address, "")
        except Fail as fail:
            if not person or fail.failure.kind not in OPENED_BY_TOKENS or not host_of(address.url):
                raise
            if self._token(address, person) is None:
                raise Fail(lacking(fail.failure, host_of(address.url))) from fail
            return await self._remembered(address, person)

    async def _remembered(self, address: RepoAddress, person: str) -> ResolvedRepo:
        asked = address, person
        if asked not in self._resolving and len(self._resolving) >= REMEMBERED:
            self._resolving = {known: look for known, look in self._resolving.items() if not look.stale}
        if asked not in self._resolving and len(self._resolving) >= REMEMBERED:
            return await self._listed(*asked)
        look = self._resolving.get(asked) or Cached(lambda: self._listed(*asked), self.now, "a link, resolved")
        self._resolving[asked] = look
        return await look.get()

    async def _listed(self, address: RepoAddress, person: str) -> ResolvedRepo:
        """A person's right to it is asked for each time, whatever lies in the store."""
        private = bool(person) or is_private((f"{address.provider}/{address.spec}",), self._settings.private)
        if not person and refs.is_full_commit(address.ref):
            known = ResolvedRepo(address, address.ref.lower(), "", private)
            if self._place(known).exists():
                return known
        permitted = await self._access(address, person)
        with found_by(person, host_of(address.url)):
            return await self._asked(address, permitted, private, person)

    async def _asked(self, address: RepoAddress, permitted: Access, private: bool, person: str) -> ResolvedRepo:
        with self._listing(address) as bounds:
            found = await self._confined.run(fetching.listed, permitted, address, self._store, bounds=bounds)
        commit = found.commit or await self._searched(address, permitted)
        return ResolvedRepo(address, commit, found.ref_name, private, person)

    async def refs(self, address: RepoAddress) -> RefNames:
        """What its host lists; nothing of a folder. Raises Fail: `resolve.*`, `platform.killed`."""
        if address.provider == "local":
            return RefNames((), ())
        permitted = await self._access(address)
        with self._listing(address) as bounds:
            return await self._confined.run(fetching.named, permitted, address, self._store, bounds=bounds)

    @contextmanager
    def _listing(self, address: RepoAddress) -> Iterator[Bounds]:
        """The bounds of a list of refs, told as what they mean."""
        seconds = self._settings.resolve_timeout
        try:
            yield self._bounds(seconds, MIB)
        except Beyond as beyond:
            if beyond.limit is not Limit.TIME:
                raise _too_large(beyond, address) from beyond
            host = giturl.host_of(address.url)
            cause = f"{host} did not list its branches within {seconds:g} seconds"
            raise Fail(HOST_UNREACHABLE(cause, Evidence("git ls-remote", "no end"))) from beyond

    async def fetch(self, repo: ResolvedRepo, tell: Tell) -> Checkout:
        """That commit's files, from the store where they are.

        Raises Fail: `resolve.*`, `platform.disk-full`, `platform.killed`.
        """
        place = self._place(repo)
        if notice := refs.default_branch_taken(repo.address.ref, repo.ref_name):
            tell(notice)
        if repo.person:
            tell(f"Private: read with {repo.person}'s token for {host_of(repo.address.url)}")
        if not place.exists():
            turn = self._lock(place.name)
            if waited := turn.locked():
                tell("Another launch fetches this commit: waiting for it")
            async with turn:
                if waited and turn.failed and not place.exists():
                    raise Fail(turn.failed.failure)
                turn.failed = None
                if not place.exists():
                    try:
                        await self._made(repo, place, tell)
                    except Fail as fail:
                        turn.failed = fail
                        raise
        return Checkout(repo, place)

    def sweep(self) -> None:
        """Remove what interrupted fetches left. Call before the first fetch."""
        _remove(*self._store.glob(f"{_ASIDE}*"))

    async def prune(self, keep: Collection[ResolvedRepo]) -> int:
        """Remove all checkouts but these; how many went."""
        kept = {self._place(repo) for repo in keep}
        gone = [place for place in self._store.iterdir() if place not in kept and not place.name.startswith(_ASIDE)]
        # Renamed first: one that is half removed must never be found.
        asides = [place.rename(place.with_name(f"{_ASIDE}{place.name}")) for place in gone]
        await asyncio.to_thread(_remove, *asides)
        return len(gone)

    def _allowance(self) -> Allowance:
        return Allowance(self._settings.max_size, self._settings.max_files)

    def _bounds(self, seconds: float, file_size: int) -> Bounds:
        return Bounds(Identity.FETCHER, seconds, int(2 * seconds) + 1, self._settings.memory, file_size)

    def _token(self, address: RepoAddress, person: str) -> HostToken | None:
        return self._tokens.find(person, host_of(address.url)) if self._tokens and person else None

    async def _usable(self, address: RepoAddress, person: str) -> HostToken | None:
        """One that has not ended, where its host renews it: once for all who ask, for it takes each renewal once."""
        token = self._token(address, person)
        if token is None or not token.renewal or self._tokens is None or self.renewed is None:
            return token
        async with self._lock(f"{person} {token.host}"):
            if (token := self._token(address, person)) is None:
                return None
            renewed = await self.renewed(token)
            if renewed != token and self._token(address, person) == token:
                self._tokens.keep(person, renewed)
            return renewed

    async def _access(self, address: RepoAddress, person: str = "") -> Access:
        """Of a person who has no token any more as of anybody."""
        seconds = self._settings.resolve_timeout
        private, token = () if person else self._settings.private, await self._usable(address, person)
        try:
            async with asyncio.timeout(seconds):
                permitted = await access(self._store, address, private, self._private_addresses)
                return for_person(permitted, address.url, token) if token else permitted
        except TimeoutError as error:
            cause = f"git's credential helpers gave no answer within {seconds:g} seconds"
            raise Fail(TOO_SLOW(cause, Evidence("git credential fill", "no end"))) from error

    def _place(self, repo: ResolvedRepo) -> Path:
        """What was fetched with credentials lies apart: who names the commit by another link has no right to it."""
        kind = "\0private" if repo.private else ""
        whose = f"\0{repo.person}" if repo.person else ""
        name = hashlib.sha256(f"{repo.address.url}\0{repo.commit}{kind}{whose}".encode()).hexdigest()[:32]
        return self._store / name

    def _lock(self, name: str) -> _Turn:
        return self._locks.setdefault(name, _Turn())

    @asynccontextmanager
    async def _aside(self) -> AsyncIterator[Path]:
        """A folder beside the checkouts, of confined calls, that is gone afterwards unless it was taken back."""
        aside = Path(await asyncio.to_thread(mkdtemp, prefix=_ASIDE, dir=self._store))
        try:
            with fetching.disk_told(aside):
                yield aside
        finally:
            await asyncio.shield(asyncio.to_thread(_remove, aside))

    @asynccontextmanager
    async def _confined_aside(self, address: RepoAddress) -> AsyncIterator[Path]:
        """The same for confined calls, told when they are beyond a limit."""
        async with self._aside() as aside:
            self._confined.hand_over(aside, Identity.FETCHER)
            try:
                yield aside
            except Beyond as beyond:
                raise _too_large(beyond, address) from beyond

    async def _made(self, repo: ResolvedRepo, place: Path, tell: Tell) -> None:
        if repo.address.provider == "local":
            raise Fail(folder.changed(repo.address.url))
        permitted = await self._access(repo.address, repo.person)
        allowance = self._allowance()
        bounds = self._bounds(self._settings.fetch_timeout, allowance.max_size)
        async with self._confined_aside(repo.address) as aside:
            with found_by(repo.person, host_of(repo.address.url)):
                await self._confined.run(fetching.fetched, permitted, repo, aside, allowance, bounds=bounds, tell=tell)
            await asyncio.to_thread(self._confined.take_back, aside)
            tree = aside / "tree"
            if tree.is_symlink():  # a git that was taken over would have sessions shown what this user can read
                raise Fail(
                    BAD_TREE("git left no folder", Evidence("the checkout", f"a link to {tree.readlink()}"[:300]))
                )
            tree.rename(place)

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

    async def _searched(self, address: RepoAddress, permitted: Access) -> str:
        """The full name of a commit that no listed ref stands at."""
        bounds = self._bounds(self._settings.fetch_timeout, self._settings.max_size)
        async with self._confined_aside(address) as aside:
            given = (permitted, address, aside, self._settings.max_size)
            commit = await self._confined.run(fetching.searched, *given, bounds=bounds)
        if not commit:
            cause = f"{address.url} has no single commit {address.ref}"
            raise Fail(REF_NOT_FOUND(cause, Evidence("commits of all branches and tags", "no such commit")))
        return commit


def _too_large(beyond: Beyond, address: RepoAddress) -> Fail:
    """Why a call about a repository met one of its bounds."""
    if beyond.limit is Limit.TIME:
        return Fail(TOO_SLOW(f"it needs {beyond}", Evidence(address.url, "no end")))
    return Fail(beyond.told(BAD_TREE if beyond.limit is Limit.CRASH else TOO_LARGE, "the repository"))


def _remove(*folders: Path) -> None:
    """Remove folders of any depth: Python's own way ends at 1,000 levels."""
    if folders:
        subprocess.run(["rm", "-rf", "--", *folders], stderr=subprocess.DEVNULL, check=False)
