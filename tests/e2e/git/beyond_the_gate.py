"""Run in a network namespace where 9.9.9.9 is this machine: what does a gate for public hosts only let through?"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from perijove.backends.confined import ConfinedCalls
from perijove.backends.git import GitRepositories
from perijove.domain.failures import Fail
from perijove.domain.settings import RepositoriesSettings
from perijove.domain.state import State
from perijove.launching.resolve.address import from_launch_path
from tests.fakes.git_server import Server, serving

HOST = "9.9.9.9"


async def tried(repositories: GitRepositories, url: str) -> str:
    """`fetched`, or the failure's code."""
    try:
        repo = await repositories.resolve(from_launch_path(f"git/{quote(url, safe='')}/HEAD"))
        checkout = await repositories.fetch(repo, lambda line: None)
    except Fail as fail:
        return fail.failure.kind.code
    heads = [path.read_bytes()[:20] for path in checkout.path.glob("*.bin")]
    return "fetched" if not any(head.startswith(b"version") for head in heads) else "pointers"


async def told(server: Server, repositories: GitRepositories) -> None:
    """One line a case."""
    inner = server.author("r.git").commit({"n": "1"})
    outer = server.author("outer.git")
    outer.commit({".gitmodules": '[submodule "s"]\n\tpath = s\n\turl = ../r.git\n'})
    outer.git("update-index", "--add", "--cacheinfo", f"160000,{inner},s")
    outer.git("commit", "--quiet", "-m", "s")
    outer.push()
    server.away = f"http://127.0.0.1:{server.port}/plain"
    for manner in ("plain", "elsewhere", "away"):
        print(f"{manner}: {await tried(repositories, server.url('r.git', manner, HOST))}")
    print(f"submodule: {await tried(repositories, server.url('outer.git', host=HOST))}")
    await lfs(server, repositories)


async def lfs(server: Server, repositories: GitRepositories) -> None:
    """Objects at a public host, then at a private one."""
    for name, host in (("lfs", HOST), ("lfs away", "127.0.0.1")):
        content = name.encode() * 100
        oid = hashlib.sha256(content).hexdigest()
        server.lfs[oid] = content
        server.lfs_base = f"http://{host}:{server.port}/lfs"
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
        server.author(f"{name.split()[-1]}.git").commit({".gitattributes": "*.bin filter=lfs\n", "x.bin": pointer})
        print(f"{name}: {await tried(repositories, server.url(f'{name.split()[-1]}.git', host=HOST))}")


def main() -> None:
    """Serve on all addresses of this namespace."""
    root = Path(tempfile.mkdtemp(prefix="git-gate-"))
    os.environ["HOME"] = str(root)
    state = State(root / "state")
    state.checkouts.mkdir(parents=True)
    with serving(root / "server", "0.0.0.0") as server, closing(ConfinedCalls()) as confined:
        asyncio.run(told(server, GitRepositories(state, RepositoriesSettings(), False, confined)))
    shutil.rmtree(root)


main()
