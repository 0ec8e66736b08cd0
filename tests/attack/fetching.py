"""Fetch one URL as a service would: `fetching.py STATE URL`. Prints what came of it, and its memory."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from perijove.backends.confined import ConfinedCalls
from perijove.backends.git import GitRepositories
from perijove.domain.failures import Fail
from perijove.domain.settings import RepositoriesSettings
from perijove.domain.state import State
from perijove.launching.resolve.address import from_launch_path


async def fetched(repositories: GitRepositories, url: str) -> str:
    """`fetched`, or the failure's code."""
    try:
        repo = await repositories.resolve(from_launch_path(f"git/{quote(url, safe='')}/HEAD"))
        await repositories.fetch(repo, lambda line: None)
    except Fail as fail:
        return fail.failure.kind.code
    return "fetched"


def main() -> None:
    """With the settings that a service has by default."""
    state = State(Path(sys.argv[1]))
    began = time.monotonic()
    with closing(ConfinedCalls()) as confined:
        confined.let_through(state.checkouts)
        code = asyncio.run(fetched(GitRepositories(state, RepositoriesSettings(), True, confined), sys.argv[2]))
    # getrusage's own peak is of whoever started this program, too.
    own = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    used = [own * 1024, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024]
    print(json.dumps({"code": code, "seconds": time.monotonic() - began, "memory": used}))


if __name__ == "__main__":
    main()
