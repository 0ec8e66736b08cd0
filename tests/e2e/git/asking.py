"""What the tests of git do again and again: ask for a repository, look at what came, change what is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from perijove.backends.git import GitRepositories
from perijove.domain.failures import Fail, Failure
from perijove.domain.nouns import Checkout, RepoAddress
from perijove.domain.state import State
from perijove.launching.resolve.address import from_launch_path
from tests.fakes.git_server import Author


def at(url: str, ref: str = "HEAD") -> RepoAddress:
    return from_launch_path(f"git/{quote(url, safe='')}/{quote(ref)}")


async def brought(repositories: GitRepositories, address: RepoAddress) -> tuple[Checkout, list[str]]:
    lines: list[str] = []
    checkout = await repositories.fetch(await repositories.resolve(address), lines.append)
    return checkout, lines


async def failure_of(repositories: GitRepositories, address: RepoAddress) -> Failure:
    with pytest.raises(Fail) as caught:
        await brought(repositories, address)
    failure = caught.value.failure
    assert failure.cause
    assert all(each.where and each.saw for each in failure.evidence)
    return failure


def said(folder: Path, *args: str) -> str:
    """What git tells a user in a session, who has a copy of the checkout and none of our configuration."""
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    ran = subprocess.run(["git", *args], cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def left(state: State) -> list[str]:
    """What stands in the store that is no checkout."""
    return [path.name for path in state.checkouts.iterdir() if path.name.startswith(".")]


def configure(home: Path, text: str) -> None:
    (home / ".gitconfig").write_text(text)


def with_submodule(author: Author, path: str, url: str, commit: str) -> str:
    """Name a submodule in the working tree's index; the outer commit."""
    modules = author.tree / ".gitmodules"
    text = modules.read_text() if modules.exists() else ""
    modules.write_text(f'{text}[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n')
    author.git("add", ".gitmodules")
    author.git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    author.git("commit", "--quiet", "-m", "submodule")
    author.push()
    return author.git("rev-parse", "HEAD")


def can_unshare() -> bool:
    ip = shutil.which("ip")
    return (
        ip is not None
        and subprocess.run(["unshare", "-Urn", ip, "link"], capture_output=True, check=False).returncode == 0
    )
