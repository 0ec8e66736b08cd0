"""What conda packages do once they are linked: run in one sandbox over the environment, and kept in it.

In: an environment that is installed. Out: the same, with what their scripts wrote. As conda runs them
(docs/projects/conda-build/resources/link-scripts.rst of conda-docs), but that one which fails is told and no more:
most of what fails there is of Jupyters that nobody has any longer.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from perijove import durable
from perijove.backends.environments import wheels
from perijove.backends.environments.conda.asked import Linked
from perijove.backends.environments.conda.foundation import CondaBase
from perijove.domain.confinement import Identity
from perijove.domain.nouns import Egress, ForeignRun, Overlay
from perijove.domain.ports import ForeignCode
from perijove.launching.start.sandbox import HOME

SCRIPT = """while [ $# -gt 0 ]; do
    PKG_NAME="$1" PKG_VERSION="$2" PKG_BUILDNUM="$3" bash "$PREFIX/bin/.$1-post-link.sh" && status=0 || status=$?
    if [ $status = 137 ]; then exit 137; fi  # SIGKILL: not its own doing
    if [ $status != 0 ]; then echo "What $1 does once it is linked fails: its script ended with status $status"; fi
    shift 3
done
if [ -e "$PREFIX/.messages.txt" ]; then cat "$PREFIX/.messages.txt"; rm "$PREFIX/.messages.txt"; fi
"""
OPAQUE = "user.overlay.opaque"
"""Marks a folder that stands for itself alone (overlayfs.rst, `userxattr`)."""


async def run(base: CondaBase, linked: Linked, foreign: ForeignCode, name: str) -> None:
    """Raises Fail: `build.*`, `start.sandbox-failed`, `platform.*`."""
    settings, made = base.conda.build, base.at.parent / "linked"
    base.tell(f"Running what packages do once they are linked: {', '.join(one.name for one in linked.scripted)}")
    final = str(base.final)
    given = {"PATH": f"{final}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": HOME, "LANG": "C.UTF-8"}
    given |= {"PREFIX": final, "CONDA_PREFIX": final}
    words = (word for one in linked.scripted for word in (one.name, one.version, one.number))
    done = ForeignRun(
        name=name,
        command=("/bin/bash", "-c", SCRIPT, "bash", *words),
        environ=tuple(given.items()),
        mounts=base.standing.mounts,
        home_from=None,
        result="",
        limits=wheels.limits(settings),
        egress=Egress.PUBLIC,
        egress_allowed=settings.hosts,
        timeout=settings.timeout,
        overlays=(Overlay((base.at,), base.final),),
        layers=True,
        root=base.standing.root,
    )
    made.mkdir()
    try:
        ran = (await foreign.run(done, made, base.tell)).not_killed("what packages do once they are linked")
        if ran.status:
            base.tell(f"What packages do once they are linked was cut off, with status {ran.status}")
        base.conda.confined.hand_over(made, Identity.INSTALLER, contents=True)
        await base.conda.call(merge, made, base.at, work=base.at.parent)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def merge(made: Path, environment: Path) -> None:
    """What was written over an environment becomes a part of it; nothing is written through a link."""
    (layer,) = (path for path in made.iterdir() if path.name in {"layer-0", "whole-0"})
    for folder, folders, names in os.walk(layer):
        into = environment / Path(folder).relative_to(layer)
        for name in (*folders, *names):
            _laid(Path(folder, name), into / name)


def _laid(new: Path, old: Path) -> None:
    mode = new.lstat().st_mode
    if stat.S_ISDIR(mode):
        if old.is_symlink() or not old.is_dir() or OPAQUE in os.listxattr(new):
            durable.remove(old)
            old.mkdir()
        return
    durable.remove(old)
    if not stat.S_ISCHR(mode):  # overlayfs's mark for what was removed
        shutil.copy2(new, old, follow_symlinks=False)
