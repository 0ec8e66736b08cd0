"""Steps, carried out one by one. In: a Step. Out: whether something was changed. Acts, as root."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from perijove import durable
from perijove.backends.installation.steps import Step
from perijove.domain.failures import Evidence, Fail
from perijove.domain.service_failures import INSTALLATION_FAILED

LIMIT = 1800.0
"""Seconds that one command may take: the slowest fetches all packages."""
SAID = 2000
"""Characters of what a command said that are shown when it fails."""


def packaged() -> dict[str, str]:
    """Units, user and settings as they ship, by their names."""
    inside = Path(__file__).parents[2] / "packaging"
    folder = inside if inside.is_dir() else Path(__file__).parents[4] / "packaging"  # in a clone
    return {path.name: path.read_text() for path in folder.rglob("*") if path.suffix in (".service", ".conf", ".toml")}


def foreseen(step: Step) -> Iterator[str]:
    """What would be done, a line each."""
    for path, content in step.files.items():
        if not _is_same(path, content):
            yield f"write {path}"
    yield from (f"write {path}" for path in step.kept if not path.exists())
    yield from (f"remove {path}" for path in step.removed if path.exists() or path.is_symlink())
    yield from (f"run {' '.join(command)}" for command in _due(step))


def carry_out(step: Step) -> bool:
    """Whether files changed.

    Raises Fail: `platform.installation-failed`, `platform.disk-full`, `platform.state-unusable`.
    """
    changed = False
    for path, content in step.files.items():
        if not _is_same(path, content):
            _write(path, content)
            changed = True
    for path, content in step.kept.items():
        if not path.exists():
            _write(path, content)
            changed = True
    for command in _due(step):
        run(command)
    for path in step.removed:
        changed |= _remove(path)
    return changed


def _due(step: Step) -> Sequence[tuple[str, ...]]:
    return step.commands if step.while_there is None or step.while_there.exists() else ()


def _is_same(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _write(path: Path, content: bytes) -> None:
    """Readable by everybody: no secret stands in these files."""
    with durable.told(path):
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        durable.write(path, content)
        path.chmod(0o644)


def _remove(path: Path) -> bool:
    """No link is followed."""
    with durable.told(path):
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            return False
    return True


def run(command: Sequence[str]) -> str:
    """What it printed. Raises Fail: `platform.installation-failed`."""
    words = " ".join(command)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", timeout=LIMIT, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Fail(INSTALLATION_FAILED(f"`{words}` could not be run", Evidence(words, str(error)))) from error
    if done.returncode:
        said = done.stdout[-SAID:].strip() or "(it said nothing)"
        raise Fail(INSTALLATION_FAILED(f"`{words}` left {done.returncode}", Evidence(words, said)))
    return done.stdout
