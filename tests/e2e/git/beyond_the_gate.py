"""Run in a network namespace of its own, with a public host beyond it: what does a gate for such let through?"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import quote

from perijove.backends.confined import ConfinedCalls
from perijove.backends.git import GitRepositories
from perijove.domain.failures import Fail
from perijove.domain.settings import RepositoriesSettings
from perijove.domain.state import State
from perijove.launching.resolve.address import from_launch_path
from tests.fakes.git_server import Server, serving

HOST, OWN = "9.9.9.9", "8.8.4.4"
"""Public addresses: the server's, and one of the machine that fetches."""
CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


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
    print(f"own: {await tried(repositories, server.url('r.git', host=OWN))}")
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


def ip(*args: str) -> None:
    """Change the network of this thread's namespace."""
    subprocess.run(["ip", *args], check=True)


def beyond(root: Path, ends: ExitStack) -> Server:
    """A server at HOST in a namespace of its own, to which a router's address leads."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    _LIBC.unshare(CLONE_NEWNET)
    there = os.open("/proc/self/ns/net", os.O_RDONLY)
    ip("link", "set", "lo", "up")
    ip("addr", "add", f"{HOST}/32", "dev", "lo")
    _LIBC.setns(here, CLONE_NEWNET)
    ip("link", "add", "near", "type", "veth", "peer", "name", "far", "netns", f"/proc/{os.getpid()}/fd/{there}")
    ip("addr", "add", f"{OWN}/32", "dev", "lo")
    ip("addr", "add", "192.0.2.1/30", "dev", "near")
    ip("link", "set", "near", "up")
    ip("route", "add", "default", "via", "192.0.2.2")
    _LIBC.setns(there, CLONE_NEWNET)
    ip("addr", "add", "192.0.2.2/30", "dev", "far")
    ip("link", "set", "far", "up")
    server = ends.enter_context(serving(root / "server", "0.0.0.0"))
    _LIBC.setns(here, CLONE_NEWNET)
    return server


def main() -> None:
    """Serve in one namespace, fetch from the other."""
    root = Path(tempfile.mkdtemp(prefix="git-gate-"))
    os.environ["HOME"] = str(root)
    state = State(root / "state")
    state.checkouts.mkdir(parents=True)
    with ExitStack() as ends:
        server = beyond(root, ends)
        confined = ends.enter_context(closing(ConfinedCalls()))
        asyncio.run(told(server, GitRepositories(state, RepositoriesSettings(), False, confined)))
    shutil.rmtree(root)


main()
