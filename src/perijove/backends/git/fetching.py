"""What is done for a repository in a process of its own: refs listed, a commit searched, a commit fetched. Not pure.

Strangers' bytes and servers are met here and nowhere else. What is given and returned travels as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from perijove.backends.git import checkout, ls_refs
from perijove.backends.git.access import Access
from perijove.backends.git.folder import DISK_ERRNOS
from perijove.backends.git.gate import Gate, Route
from perijove.backends.git.program import git
from perijove.backends.git.size import Allowance, within_size
from perijove.domain.failures import DISK_FULL, REF_NOT_FOUND, Evidence, Fail, Failure
from perijove.domain.nouns import RefNames, RepoAddress, ResolvedRepo
from perijove.domain.ports import Tell
from perijove.launching.resolve import giturl, refs

NEEDS = ("httpcore", "httpcore._backends.anyio")
"""What httpx imports at its first request."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The commit that a ref means, and the ref's full name or ``; no commit where only the history can tell."""

    commit: str
    ref_name: str


async def listed(access: Access, address: RepoAddress, outside: Path) -> Listed:
    """What a host's list of refs says. `outside` is a folder outside any repository. Raises Fail: `resolve.*`."""
    advertised = await _asked(access, address, outside)
    choice = refs.choose(advertised, address.ref)
    match choice:
        case refs.Chosen(commit, ref_name):
            return Listed(commit, ref_name)
        case refs.Unlisted():
            return Listed("", "")
        case refs.Missing():
            raise Fail(_missing(address, advertised, choice))


async def named(access: Access, address: RepoAddress, outside: Path) -> RefNames:
    """The names that a host lists. Raises Fail: `resolve.*`."""
    return refs.names(await _asked(access, address, outside))


async def _asked(access: Access, address: RepoAddress, outside: Path) -> refs.Advertised:
    advertised = await ls_refs.advertised(access, address.url)
    if advertised is not None:
        return advertised
    async with Gate(outside, access).route(address.url, address.ref) as route:
        return await _advertised(route)


async def searched(access: Access, address: RepoAddress, aside: Path, max_size: int) -> str:
    """The full name of the commit that the address's ref begins, from the history. Raises Fail: `resolve.*`."""
    with disk_told(aside):
        async with Gate(aside, access).route(address.url, address.ref) as route:
            finding = checkout.found(route, address.ref.lower(), aside)
            return await within_size(aside, max_size, finding)


async def fetched(access: Access, repo: ResolvedRepo, aside: Path, allowance: Allowance, *, tell: Tell) -> None:
    """Make `aside/tree`. Raises Fail: `resolve.*`, `platform.disk-full`."""
    with disk_told(aside):
        making = checkout.made(Gate(aside, access), repo, aside / "tree", allowance, tell)
        await within_size(aside / "tree", allowance.max_size, making)


@contextmanager
def disk_told(where: Path) -> Iterator[None]:
    """Tell a full disk as one."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_ERRNOS:
            raise
        seen = Evidence(str(where.parent), str(error))
        raise Fail(DISK_FULL("the disk filled up while fetching", seen)) from error


async def _advertised(route: Route) -> refs.Advertised:
    ran = await git("ls-remote", *route.options, "--symref", "--", route.url, cwd=route.cwd, call=route.call)
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
