"""A state directory on a small file system of its own: a program is run in a mount namespace that has one there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest


def on_small_disk(root: Path, size: int, *furnish: str) -> Sequence[str]:
    """Begins a command: `root` is a tmpfs of `size` bytes for it, in which these shell commands have been run."""
    if shutil.which("unshare") is None:
        pytest.skip("util-linux's unshare is not installed")
    own = ["--user", "--map-current-user", "--keep-caps"] if os.geteuid() != 0 else []
    mount = f"mount -t tmpfs -o size={size},mode=711 tmpfs {root}"
    return ["unshare", *own, "--mount", "sh", "-c", " && ".join((mount, *furnish, 'exec "$@"')), "sh"]
