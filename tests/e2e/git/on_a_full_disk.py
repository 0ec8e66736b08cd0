"""Run with a small file system to keep checkouts on: is a full disk told as one?"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from perijove.backends.confined import ConfinedCalls
from perijove.backends.git import GitRepositories
from perijove.domain.failures import Fail
from perijove.domain.nouns import RepoAddress
from perijove.domain.settings import RepositoriesSettings
from perijove.domain.state import State
from perijove.launching.resolve.address import from_launch_path, local_folder
from tests.fakes.git_server import serving


async def tried(repositories: GitRepositories, address: RepoAddress) -> str:
    """`fetched`, or the failure's code."""
    try:
        await repositories.fetch(await repositories.resolve(address), lambda line: None)
    except Fail as fail:
        return fail.failure.kind.code
    return "fetched"


def main() -> None:
    """Fetch a repository, and take a folder, that are larger than the disk."""
    root = Path(tempfile.mkdtemp(prefix="git-full-"))
    os.environ["HOME"] = str(root)
    state = State(Path(sys.argv[1]))
    state.checkouts.mkdir(parents=True)
    with serving(root / "server") as server, closing(ConfinedCalls()) as confined:
        repositories = GitRepositories(state, RepositoriesSettings(), True, confined)
        author = server.author("r.git")
        author.commit({"noise": os.urandom(1 << 20)})
        address = from_launch_path(f"git/{quote(server.url('r.git'), safe='')}/HEAD")
        print(f"fetch: {asyncio.run(tried(repositories, address))}")
        print(f"folder: {asyncio.run(tried(repositories, local_folder(author.tree)))}")
    print(f"left: {[path.name for path in state.checkouts.iterdir()]}")
    shutil.rmtree(root)


main()
