"""Bring the files that a tree keeps in Git LFS (its batch API, basic transfer). Not pure.

Not by the git-lfs program: it cannot be kept from this machine's own loopback, and would have to be installed.
Every connection takes the route's proxy, so that what a server or the repository's `.lfsconfig` names is judged too;
where nothing judges (a mirror of the operator's, say) only the server that belongs to its own address is asked.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import ssl
import stat
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio._backends._asyncio  # noqa: F401 - as the next
import certifi  # noqa: F401 - these httpx loads late, when their files may be out of a confined call's reach
import httpx

from perijove.backends.git.gate import Route
from perijove.backends.git.program import Call, checked, git
from perijove.backends.git.size import Allowance
from perijove.backends.git.tunnel import addresses
from perijove.domain import sizes
from perijove.domain.failures import (
    HOST_UNREACHABLE,
    LFS_MISSING,
    REPO_FORBIDDEN,
    Evidence,
    Fail,
)
from perijove.domain.ports import Tell
from perijove.launching.resolve.giturl import shown

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\nsize (\d{1,15})\n"
)
_LARGEST_POINTER = 1024
_JSON = {"Accept": "application/vnd.git-lfs+json", "Content-Type": "application/vnd.git-lfs+json"}
_BATCH = 100
_AT_ONCE = 4
_SILENCE = 30.0
"""Seconds without a byte after which a server is given up."""


@dataclass(frozen=True, slots=True)
class _Pointer:
    path: Path
    oid: str
    size: int


async def filled(route: Route, url: str, tree: Path, allowance: Allowance, tell: Tell) -> None:
    """Put the files in the place of their pointers.

    Raises Fail: `resolve.lfs-missing`, `resolve.too-large`, `resolve.access-denied`, `resolve.host-unreachable`,
    `resolve.forbidden-address`.
    """
    names = os.fsdecode(await checked("ls-files", "-z", cwd=tree)).split("\0")
    attributes = [name for name in names if name == ".gitattributes" or name.endswith("/.gitattributes")]
    if not any(b"filter=lfs" in _head(tree / name, 1 << 20) for name in attributes):
        return
    pointers = list(await asyncio.to_thread(_pointers, tree, [name for name in names if name]))
    if not pointers:
        return
    size = sum(pointer.size for pointer in pointers)
    allowance.take(size, 0, "files in Git LFS")
    tell(f"Fetching {len(pointers)} files of {sizes.size(size)} from Git LFS")
    server = await _server(route, url, tree)
    if (mirror := _folder(server)) is not None:
        await asyncio.to_thread(_copied, mirror, pointers)
        return
    try:
        await _brought(route, server, pointers)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        seen = Evidence(shown(server), shown(str(error)) or type(error).__name__)
        failure = HOST_UNREACHABLE("its Git LFS server does not answer", seen)
        raise Fail(route.refused[-1] if route.refused else failure) from error


def _folder(server: str) -> Path | None:
    """Where a mirror on this machine keeps its files of LFS."""
    path = server.removeprefix("file://")
    if not path.startswith("/"):
        return None
    bare = Path(path.removesuffix("/info/lfs"))
    found = (bare, bare.with_suffix(""), bare.with_suffix("") / ".git", bare / ".git")
    return next((git / "lfs" for git in found if (git / "objects").is_dir()), bare / "lfs")


def _copied(mirror: Path, pointers: Sequence[_Pointer]) -> None:
    """Put a mirror's files in their pointers' places. Raises Fail: `resolve.lfs-missing`."""
    for pointer in pointers:
        aside = pointer.path.with_name(f".{pointer.oid}.lfs")
        digest, left = hashlib.sha256(), pointer.size + 1
        try:
            kept = mirror / "objects" / pointer.oid[:2] / pointer.oid[2:4] / pointer.oid
            with kept.open("rb") as file, aside.open("xb") as out:
                while piece := file.read(min(left, 1 << 20)):
                    left -= len(piece)
                    digest.update(piece)
                    out.write(piece)
        except FileNotFoundError as error:
            remedy = f"Bring it to the mirror: `git lfs fetch --all` in {mirror.parent}."
            raise _missing(pointer, f"not in {mirror}", remedy) from error
        _placed(pointer, aside, digest.hexdigest(), pointer.size + 1 - left)


async def _brought(route: Route, server: str, pointers: Sequence[_Pointer]) -> None:
    room = asyncio.Semaphore(_AT_ONCE)
    async with httpx.AsyncClient(
        proxy=route.proxy or None,
        follow_redirects=True,
        max_redirects=5,
        timeout=_SILENCE,
        trust_env=False,
        verify=ssl.create_default_context(),
        event_hooks={"request": [_judged] if route.only_public else []},
    ) as client:
        headers: dict[str, str] = {}
        for start in range(0, len(pointers), _BATCH):
            batch = pointers[start : start + _BATCH]
            found, headers = await _asked(client, route, server, batch, headers)
            try:
                async with asyncio.TaskGroup() as group:
                    for pointer in batch:
                        work = _downloaded(client, pointer, found, room)
                        group.create_task(work, name=f"LFS object {pointer.oid[:8]}")
            except ExceptionGroup as errors:
                # The first that failed is the cause; the others were cancelled for it.
                raise errors.exceptions[0] from None


async def _judged(request: httpx.Request) -> None:
    """Refuse a request, perhaps a redirect's, to a host that is known not to be public."""
    await addresses(request.url.host, request.url.port or 443, unknown=True)


async def _server(route: Route, url: str, tree: Path) -> str:
    """The LFS server's address, after the operator's rewriting; the repository's own word counts where it is judged."""
    own = f"{url.removesuffix('.git')}.git/info/lfs".replace("ssh://git@", "https://", 1)
    named = b""
    if not route.own_server:
        offline = Call(protocols="none")
        named = (await git("config", "--blob", "HEAD:.lfsconfig", "--get", "lfs.url", cwd=tree, call=offline)).out
    wanted = named.decode("utf-8", "replace").strip()
    wanted = wanted if wanted.startswith(("https://", "http://")) else own
    ran = await git("ls-remote", "--get-url", "--", wanted, cwd=route.cwd, call=route.call)
    return ran.out.decode("utf-8", "replace").strip().rstrip("/") or wanted


async def _asked(
    client: httpx.AsyncClient, route: Route, server: str, batch: Sequence[_Pointer], headers: dict[str, str]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Where the server has these objects, by oid; and the headers that it let us in with."""
    objects = [{"oid": pointer.oid, "size": pointer.size} for pointer in batch]
    asked = {"operation": "download", "transfers": ["basic"], "objects": objects}
    answer = await client.post(f"{server}/objects/batch", json=asked, headers=_JSON | headers)
    if answer.status_code == 401 and not headers and (headers := await _credentials(route, server)):
        answer = await client.post(f"{server}/objects/batch", json=asked, headers=_JSON | headers)
    if answer.status_code in (401, 403):
        seen = Evidence(shown(server), f"HTTP {answer.status_code}")
        raise Fail(REPO_FORBIDDEN("its Git LFS server denied access", seen))
    try:
        rows = answer.raise_for_status().json()["objects"]
        return {str(row["oid"]): dict(row) for row in rows}, headers
    except (ValueError, KeyError, TypeError, httpx.HTTPStatusError) as error:
        seen = Evidence(shown(server), f"HTTP {answer.status_code}: {shown(answer.text)}")
        raise Fail(LFS_MISSING("its Git LFS server gave no list of its files", seen)) from error


async def _credentials(route: Route, server: str) -> dict[str, str]:
    """What the operator's credential helpers say for a server; nothing where they say nothing."""
    ran = await git("credential", "fill", cwd=route.cwd, call=route.call, stdin=f"url={server}\n\n".encode())
    fields = (
        dict(line.split("=", 1) for line in ran.out.decode().splitlines() if "=" in line) if ran.status == 0 else {}
    )
    if "password" not in fields:
        return {}
    pair = f"{fields.get('username', '')}:{fields['password']}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode('ascii')}"}


async def _downloaded(
    client: httpx.AsyncClient, pointer: _Pointer, found: dict[str, dict[str, Any]], room: asyncio.Semaphore
) -> None:
    """Put one object in its pointer's place, if it is what the pointer says."""
    row = found.get(pointer.oid, {})
    try:
        action = row["actions"]["download"]
        href, headers = str(action["href"]), {str(k): str(v) for k, v in action.get("header", {}).items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise _missing(pointer, shown(str(row.get("error", "the server does not have it")))) from error
    aside = pointer.path.with_name(f".{pointer.oid}.lfs")
    digest = hashlib.sha256()
    size = 0
    async with room, client.stream("GET", href, headers=headers) as answer:
        if answer.status_code != 200:
            raise _missing(pointer, f"HTTP {answer.status_code}")
        with aside.open("xb") as file:
            async for piece in answer.aiter_bytes(1 << 20):
                size += len(piece)
                digest.update(piece)
                if size > pointer.size:
                    break
                await asyncio.to_thread(file.write, piece)
    _placed(pointer, aside, digest.hexdigest(), size)


def _placed(pointer: _Pointer, aside: Path, digest: str, size: int) -> None:
    if digest != pointer.oid:
        raise _missing(pointer, f"{sizes.size(size)} with another hash")
    aside.chmod(pointer.path.stat().st_mode & 0o777)
    aside.rename(pointer.path)


def _missing(pointer: _Pointer, saw: str, remedy: str = "") -> Fail:
    cause = f"{shown(pointer.path.name)} is a pointer to a file that is not there"
    return Fail(LFS_MISSING(cause, Evidence(pointer.oid, saw), remedy=remedy))


def _pointers(tree: Path, names: Sequence[str]) -> Iterator[_Pointer]:
    for name in names:
        if match := _POINTER.match(_head(tree / name, _LARGEST_POINTER)):
            yield _Pointer(tree / name, match[1].decode("ascii"), int(match[2]))


def _head(path: Path, most: int) -> bytes:
    """The beginning of a regular file; nothing of anything else."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return b""
        with path.open("rb") as file:
            return file.read(most)
    except (FileNotFoundError, NotADirectoryError):
        return b""
