"""Run in namespaces of its own, whose name server never answers: `dead_names.py`. What do other launches feel of it?"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

from perijove.backends.confined import ConfinedCalls
from perijove.backends.git import GitRepositories
from perijove.domain.settings import RepositoriesSettings
from perijove.domain.state import State
from tests.attack.fetching import fetched
from tests.attack.hostile_trees import bomb
from tests.fakes.git_server import Author

SLOW = 12


async def told(repositories: GitRepositories, asked: socket.socket) -> dict[str, object]:
    """A mirror's launch while many wait for names."""
    await fetched(repositories, "https://git.example.org/first.git")
    slow = [
        asyncio.create_task(fetched(repositories, f"git://slow{n}.example.org/r"), name=f"{n}") for n in range(SLOW)
    ]
    await asyncio.get_running_loop().sock_recv(asked, 512)
    began = time.monotonic()
    mirrored = await fetched(repositories, "https://git.example.org/r.git")
    seconds = time.monotonic() - began
    waiting = sum(not task.done() for task in slow)
    return {"mirrored": mirrored, "seconds": seconds, "waiting": waiting, "slow": await asyncio.gather(*slow)}


def main() -> None:
    """The mirror is a folder, for which no name is looked up."""
    root = Path(tempfile.mkdtemp(prefix="dead-names-"))
    os.environ["HOME"] = str(root)
    (root / "resolv.conf").write_text("nameserver 127.0.0.53\noptions timeout:30 attempts:2\n")
    (root / "nsswitch.conf").write_text("hosts: files dns\n")
    for name in ("resolv.conf", "nsswitch.conf"):
        subprocess.run(["mount", "--bind", str(root / name), f"/etc/{name}"], check=True)
    (root / ".gitconfig").write_text(f'[url "{root}/"]\n\tinsteadOf = https://git.example.org/\n')
    for name in ("r.git", "first.git"):
        subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(root / name)], check=True)
        bomb(Author(root, root / name), width=3, levels=1)
    state = State(root / "state")
    state.checkouts.mkdir(parents=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, closing(ConfinedCalls()) as confined:
        silent.bind(("127.0.0.53", 53))
        silent.setblocking(False)
        repositories = GitRepositories(state, RepositoriesSettings(), False, confined)
        print(json.dumps(asyncio.run(told(repositories, silent))))
    shutil.rmtree(root)


main()
