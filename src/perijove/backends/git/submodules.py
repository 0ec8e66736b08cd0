"""Fill the submodules of a tree, level by level; each address is held to the same rules as a visitor's. Not pure.

Git's own `submodule update` is not used: it would follow addresses of the repository's choosing unasked.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from perijove.backends.git.gate import Gate, Route
from perijove.backends.git.program import Call, checked, git
from perijove.domain import failures as rows
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.ports import Tell
from perijove.launching.resolve.giturl import checked_url, host_of, shown, submodule_url

_MOST = 100
_DEEPEST = 5
_THEIRS = (
    rows.BAD_LINK,
    rows.BAD_TREE,
    rows.FORBIDDEN_ADDRESS,
    rows.REPO_NOT_FOUND,
    rows.REPO_FORBIDDEN,
    rows.REF_NOT_FOUND,
    rows.FETCH_FAILED,
)
"""What the repository's author can put right; the rest (no network, no disk, no time) is told as it is."""

Fill = Callable[[Route, str, str, Path], Awaitable[None]]
"""Makes a tree: route, URL, commit, folder."""


@dataclass(frozen=True, slots=True)
class _Submodule:
    tree: Path
    path: str
    url: str
    commit: str
    depth: int


async def filled(gate: Gate, url: str, tree: Path, fill: Fill, tell: Tell) -> None:
    """Fill a tree's submodules and theirs, `url` being the tree's own.

    Raises Fail: `resolve.submodule-failed`, and what befell the machine or the network.
    """
    waiting = await _of(tree, url, 1, tell)
    count = 0
    while waiting:
        one = waiting.pop(0)
        count += 1
        if count > _MOST or one.depth > _DEEPEST:
            limits = f"at most {_MOST} submodules, {_DEEPEST} levels deep"
            raise Fail(
                rows.SUBMODULE_FAILED("it has too many", Evidence("limit", limits), remedy="Use fewer submodules.")
            )
        tell(f"Fetching submodule {shown(one.path)} from {shown(one.url)}")
        place = one.tree / one.path
        try:
            checked_place(one.tree, one.path)
            address = checked_url(one.url)
            async with gate.route(address, one.commit) as route:
                await fill(route, address, one.commit, place)
        except Fail as fail:
            raise _told(one, url, fail.failure) from fail
        waiting += await _of(place, address, one.depth + 1, tell)


def checked_place(tree: Path, path: str) -> None:
    """Refuse a path that leaves the tree by a link, and make room for the submodule."""
    place = tree / path
    if os.path.normpath(path) != path or os.path.realpath(place) != os.path.join(os.path.realpath(tree), path):
        raise Fail(rows.BAD_LINK("its path leaves the repository", Evidence(".gitmodules", shown(path))))
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        place.rmdir()


def _told(one: _Submodule, url: str, failure: Failure) -> Fail:
    """With the submodule's name; as the author's where it is theirs, a host that no other part of it comes from too."""
    evidence = (
        Evidence(".gitmodules", f"{shown(one.path)} → {shown(one.url)} at {one.commit[:12]}"),
        *failure.evidence,
    )
    cause = f"{shown(one.path)}: {failure.cause}"
    misspelled = failure.kind is rows.HOST_UNREACHABLE and "has no address" in failure.cause
    if failure.kind in _THEIRS or (misspelled and host_of(checked_url(one.url)) != host_of(url)):
        return Fail(rows.SUBMODULE_FAILED(cause, *evidence))
    return Fail(failure.kind(f"submodule {cause}", *evidence, remedy=failure.remedy, after=failure.after))


async def _of(tree: Path, url: str, depth: int, tell: Tell) -> list[_Submodule]:
    """The submodules that a tree's index names, with their absolute URLs."""
    staged = await checked("ls-files", "--stage", "-z", cwd=tree)
    links: dict[str, str] = {}
    for row in os.fsdecode(staged).split("\0"):
        head, _, name = row.partition("\t")
        if head.startswith("160000 "):
            links[name] = head.split(" ")[1]
    if not links:
        return []
    urls = await _urls(tree)
    for path in links.keys() - urls.keys():
        tell(f"Submodule {shown(path)} has no address in .gitmodules; its folder stays empty.")
    return [
        _Submodule(tree, path, submodule_url(url, urls[path]), links[path], depth)
        for path in sorted(links.keys() & urls.keys())
    ]


async def _urls(tree: Path) -> dict[str, str]:
    """Address by path, read from the commit itself: a file in the tree could be a link."""
    call = Call(protocols="none")
    pattern = r"^submodule\..*\.(path|url)$"
    ran = await git("config", "--blob", "HEAD:.gitmodules", "-z", "--get-regexp", pattern, cwd=tree, call=call)
    told: dict[str, dict[str, str]] = {}
    for row in os.fsdecode(ran.out).split("\0") if ran.status == 0 else ():
        key, _, value = row.partition("\n")
        name, _, what = key.rpartition(".")
        told.setdefault(name, {})[what] = value
    return {row["path"]: row["url"] for row in told.values() if "path" in row and "url" in row}
