"""Make the working tree of one commit: a usable `.git` with its history, its submodules and LFS files. Not pure."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import replace
from pathlib import Path

from perijove.backends.git import history, lfs, submodules, words
from perijove.backends.git.contents import counted
from perijove.backends.git.gate import Gate, Route
from perijove.backends.git.program import Call, Ran, checked, git
from perijove.backends.git.size import Allowance, size_of
from perijove.domain.failures import BAD_TREE, REF_NOT_FOUND, Evidence, Fail
from perijove.domain.keeping import CACHES, OF_PROGRAMS
from perijove.domain.nouns import ResolvedRepo
from perijove.domain.ports import Tell

_NO_FILTERS = ("filter.lfs.smudge=", "filter.lfs.process=", "filter.lfs.required=false")
_ALL = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")


async def made(gate: Gate, repo: ResolvedRepo, tree: Path, allowance: Allowance, tell: Tell) -> None:
    """Make `tree`, submodules and LFS files too, of the allowance. Raises Fail: `resolve.*`, `platform.disk-full`."""

    async def fill(route: Route, url: str, commit: str, place: Path, ref_name: str = "") -> None:
        await _brought(route, url, commit, ref_name, place, tell)
        await asyncio.to_thread(_overlook, place / ".git" / "info" / "exclude")
        below = "" if place == tree else f"{place.relative_to(tree)}/"
        await counted(place, commit, below, allowance)
        allowance.take(await asyncio.to_thread(size_of, place / ".git"), 0, "fetched so far")
        await _checked_out(place)
        await lfs.filled(route, url, place, allowance, tell)

    url = repo.address.url
    async with history.alongside(gate, repo, tree.with_name("history"), allowance) as past:
        async with gate.route(url, repo.address.ref) as route:
            await fill(route, url, repo.commit, tree, repo.ref_name)
        await submodules.filled(gate, url, tree, fill, tell)
        await _dated(tree, repo.commit)
        await past.join(tree, allowance, tell)


async def _brought(route: Route, url: str, commit: str, ref_name: str, tree: Path, tell: Tell) -> None:
    """Make a repository at `tree` with one commit, `url` as its origin, and nothing of it written yet."""
    await _initialised(tree, commit)
    await _fetched(route, commit, ref_name, tree, tell)
    branch = ref_name.removeprefix("refs/heads/") if ref_name.startswith("refs/heads/") else ""
    settings = {"remote.origin.url": url, "remote.origin.fetch": "+refs/heads/*:refs/remotes/origin/*"}
    if branch:
        await checked("update-ref", f"refs/remotes/origin/{branch}", commit, cwd=tree)
        await checked("update-ref", ref_name, commit, cwd=tree)
        await checked("symbolic-ref", "HEAD", ref_name, cwd=tree)
        settings |= {f"branch.{branch}.remote": "origin", f"branch.{branch}.merge": ref_name}
    else:
        await checked("update-ref", "--no-deref", "HEAD", commit, cwd=tree)
    for name, value in settings.items():
        await checked("config", name, value, cwd=tree)
    (tree / ".git" / "FETCH_HEAD").unlink(missing_ok=True)


async def _dated(tree: Path, commit: str) -> None:
    """Have the folder's time be the commit's, which a build may ask for."""
    call = Call(environ={"GIT_NO_LAZY_FETCH": "1"}, protocols="none")
    ran = await git("log", "-1", "--no-show-signature", "--format=%ct", commit, cwd=tree, call=call)
    if ran.status == 0 and (found := re.fullmatch(rb"[0-9]{1,10}", ran.out.strip())):
        moment = int(found[0])
        await asyncio.to_thread(os.utime, tree, (moment, moment))


def _overlook(exclude: Path) -> None:
    """Have git not tell of what a session's programs keep in their home, which the tree is then."""
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("".join(f"{name}\n" for name in (*(f"/{name}" for name in OF_PROGRAMS), *CACHES)))


async def _checked_out(tree: Path) -> None:
    """Write the files of HEAD."""
    ran = await git("reset", "--quiet", "--hard", cwd=tree, call=Call(_NO_FILTERS))
    if ran.status != 0:
        raise Fail(words.meant(ran.said, "git could not write its files", BAD_TREE))


async def _initialised(tree: Path, commit: str, *options: str) -> None:
    await asyncio.to_thread(tree.mkdir, mode=0o755)
    kind = "sha256" if len(commit) == 64 else "sha1"
    await checked("init", "--quiet", f"--object-format={kind}", *options, ".", cwd=tree)


async def _fetched(route: Route, commit: str, ref_name: str, tree: Path, tell: Tell) -> None:
    """Bring one commit: by its name, else by its ref's, else with the whole history from a host that refuses both."""
    ways = [("--depth=1", commit)]
    if ref_name:
        ways.append(("--depth=1", ref_name))
    for depth, wanted in ways:
        ran = await _fetch(route, tree, tell, depth, "--no-tags", "--", route.url, wanted)
        if ran.status == 0 and await _has(tree, commit):
            return
        if ran.status != 0 and not words.commit_refused(ran.said):
            raise Fail(route.failure(ran.said))
    tell("The host does not give out this commit alone; fetching the whole history.")
    shallow = tree / ".git" / "shallow"
    unshallow = ("--unshallow",) if shallow.exists() else ()
    ran = await _fetch(route, tree, tell, *unshallow, "--", route.url, *_ALL)
    if ran.status != 0:
        raise Fail(route.failure(ran.said))
    if not await _has(tree, commit):
        cause = f"commit {commit} is not in this repository"
        raise Fail(REF_NOT_FOUND(cause, Evidence("commits of all branches and tags", "no such commit")))


async def _fetch(route: Route, cwd: Path, tell: Tell | None, *args: str) -> Ran:
    words = ("fetch", *route.options, "--progress", "--no-auto-gc")
    return await git(*words, *args, cwd=cwd, call=route.call, tell=route.telling(tell))


async def _has(tree: Path, commit: str) -> bool:
    call = Call(environ={"GIT_NO_LAZY_FETCH": "1"}, protocols="none")
    return (await git("cat-file", "-e", f"{commit}^{{commit}}", cwd=tree, call=call)).status == 0


async def found(route: Route, prefix: str, aside: Path) -> str:
    """The full name of the one commit that begins so in a repository's history, or ``; only commits are fetched."""
    history = aside / "history"
    full = len(prefix) in (40, 64)
    await _initialised(history, prefix if full else "")
    if full:
        ran = await _fetch(route, history, None, "--depth=1", "--no-tags", "--", route.url, prefix)
        if ran.status == 0 and await _has(history, prefix):
            return prefix
        if words.other_hash(ran.said):
            return ""
        if ran.status != 0 and not words.commit_refused(ran.said):
            raise Fail(route.failure(ran.said))
    await checked("config", "remote.origin.url", route.url, cwd=history)
    call = replace(route.call, config=(*route.call.config, "fetch.negotiationAlgorithm=noop"))
    ran = await git(
        "fetch", *route.options, "--filter=tree:0", "--refetch", "--", "origin", *_ALL, cwd=history, call=call
    )
    if ran.status != 0:
        raise Fail(route.failure(ran.said))
    parsed = await git(
        "rev-parse", "--verify", "--quiet", f"{prefix}^{{commit}}", cwd=history, call=Call(protocols="none")
    )
    return parsed.out.decode("ascii", "replace").strip() if parsed.status == 0 else ""
