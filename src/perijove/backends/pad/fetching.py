"""How the client takes what a foreign run hands over: moved where it can be, else copied. Synchronous."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from perijove.backends.pad.trees import NO_LINKS, Allowance, Copying


def fetched(handed: Path, into: Path) -> None:
    """All that lies there, into a folder of ours: the pad, which may have more rights than we, writes to none."""
    into.mkdir(parents=True, exist_ok=True)
    for path in handed.iterdir() if handed.exists() else ():
        try:
            path.rename(into / path.name)
        except OSError:  # the pad is another user, or the store another disk
            _copy(path, into / path.name)


def _copy(path: Path, to: Path) -> None:
    if not path.is_dir():
        shutil.copyfile(path, to)
        return
    opened = os.open(path, NO_LINKS | os.O_DIRECTORY)
    try:
        Copying(Allowance(2**62, 2**62)).copy(opened, to)
    finally:
        os.close(opened)
