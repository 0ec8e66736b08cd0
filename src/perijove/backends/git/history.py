"""Bring a commit's history beside its files: commits and the tags among them, no file of any. Not pure.

So `git describe` says in a session, and to the tools that make a version of it, what it says in a full clone. The
checkout is a partial clone then: git asks the repository's own address for what somebody wants to see of the past.
Nobody waits long for it, and no repository is too large for it: without it the checkout is shallow, as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from perijove.backends.git.gate import Gate
from perijove.backends.git.program import Call, checked, git
from perijove.backends.git.size import Allowance, size_of, within_size
from perijove.domain.failures import Fail
from perijove.domain.nouns import ResolvedRepo
from perijove.domain.ports import Tell

LARGEST = 64 * 1024**2
"""Bytes of a history that is brought: some hundred thousand commits."""
PART = 8
"""Nor may it be more than this part of what a whole checkout may take."""
PATIENCE = 10.0
"""Seconds that a launch waits for it once all files are there."""
_REF = "refs/perijove/commit"


@dataclass(frozen=True, slots=True)
class History:
    """One that is on its way."""

    place: Path
    """Where it comes to lie: a bare repository."""
    coming: asyncio.Task[str]
    """`` or why it cannot be had."""

    async def join(self, tree: Path, allowance: Allowance, tell: Tell) -> None:
        """Lay it into a checkout, of the allowance; git must not be run there by us any more: it might fetch."""
        if not (tree / ".git" / "objects" / "pack").is_dir():
            return  # what a git left that was taken over is refused by whoever fetches it
        await asyncio.wait({self.coming}, timeout=PATIENCE)
        why = self.coming.result() if self.coming.done() else f"it did not come within {PATIENCE:.0f} s"
        size = await asyncio.to_thread(size_of, self.place)
        if not why and allowance.size + size > allowance.max_size:
            why = "it would make the repository too large"
        if why and not (tree / ".git" / "shallow").exists():
            return  # a host that gives no single commit out has given all
        if why:
            tell(f"Fetched without its history, so that git describe and git log know this commit alone: {why}")
            return
        allowance.take(size, 0, "its history")
        await checked("pack-refs", "--all", cwd=self.place)
        await asyncio.to_thread(_laid, self.place, tree / ".git")
        for name, value in (("promisor", "true"), ("partialclonefilter", "blob:none")):
            await checked("config", f"remote.origin.{name}", value, cwd=tree)


@asynccontextmanager
async def alongside(gate: Gate, repo: ResolvedRepo, place: Path, allowance: Allowance) -> AsyncIterator[History]:
    """Begin to bring it; it ends with the context."""
    coming = asyncio.create_task(_brought(gate, repo, place, min(LARGEST, allowance.max_size // PART)), name="history")
    try:
        yield History(place, coming)
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def _brought(gate: Gate, repo: ResolvedRepo, place: Path, largest: int) -> str:
    try:
        await asyncio.to_thread(place.mkdir, mode=0o755)
        kind = "sha256" if len(repo.commit) == 64 else "sha1"
        await checked("init", "--quiet", "--bare", f"--object-format={kind}", ".", cwd=place)
        async with gate.route(repo.address.url, repo.address.ref) as route:
            await checked("config", "remote.origin.url", route.url, cwd=place)
            options = ("--quiet", "--no-auto-gc", "--filter=tree:0", *route.options)
            for wanted in filter(None, (repo.commit, repo.ref_name)):
                fetch = git("fetch", *options, "--", "origin", f"+{wanted}:{_REF}", cwd=place, call=route.call)
                ran = await within_size(place, largest, fetch)
                if ran.status == 0 and await _holds(place, repo.commit):
                    return ""
    except Fail as fail:
        return fail.failure.cause
    return "the host does not give it out"


async def _holds(place: Path, commit: str) -> bool:
    """Whether the commit is what came, and not one that its branch has gone on to."""
    ran = await git("rev-parse", "--verify", "--quiet", f"{_REF}^{{commit}}", cwd=place, call=Call(protocols="none"))
    return ran.out.decode("ascii", "replace").strip() == commit


def _laid(place: Path, into: Path) -> None:
    for pack in (place / "objects" / "pack").iterdir():
        if not (kept := into / "objects" / "pack" / pack.name).exists():
            pack.rename(kept)
    tags, after_tag = [], False
    for line in (place / "packed-refs").read_bytes().splitlines(keepends=True):
        after_tag = b" refs/tags/" in line or (after_tag and line.startswith(b"^"))
        if after_tag or line.startswith(b"#"):
            tags.append(line)
    (into / "packed-refs").write_bytes(b"".join(tags))
    (into / "shallow").unlink(missing_ok=True)
