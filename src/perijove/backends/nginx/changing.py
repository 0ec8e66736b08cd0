"""Put files in the place of nginx's own: kept aside first, tested, taken up by the running nginx; or all taken back.

Names that begin with a dot are met by no pattern of an `include`, so that nothing kept aside is read as configuration.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from perijove.backends.nginx.reading import encoding
from perijove.domain.failures import Evidence, Fail
from perijove.domain.front_failures import NOT_FIXED

LIMIT = 30.0
"""Seconds for a command of nginx's."""


class Nginx:
    """The program, with the main file and prefix that the running one was given."""

    def __init__(self, main: Path, prefix: Path | None = None, reload: str = "") -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/nginx/sbin")
        self._command = [program or "nginx", "-c", str(main), *(["-p", str(prefix)] if prefix is not None else [])]
        self._reload = shlex.split(reload) or [*self._command, "-s", "reload"]

    def test(self) -> None:
        """Raises Fail: `front.not-fixed`."""
        self._run([*self._command, "-t"], "nginx refuses it")

    def reload(self) -> None:
        """Returns once nginx was told, not once it obeyed. Raises Fail: `front.not-fixed`."""
        self._run(self._reload, "it could not be reloaded")

    @staticmethod
    def _run(command: Sequence[str], cause: str) -> None:
        shown = shlex.join(command)
        try:
            ran = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=LIMIT, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Fail(NOT_FIXED(cause, Evidence(shown, str(error)[:500]))) from error
        if ran.returncode != 0:
            raise Fail(NOT_FIXED(cause, Evidence(shown, (ran.stderr or ran.stdout).strip()[-1000:])))


class Change:
    """Texts for files, by their paths; links are followed, and stay."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = {Path(path).resolve(): text for path, text in texts.items()}
        self.kept: dict[Path, Path] = {}
        """Where each file of before is, by its path."""

    def make(self) -> None:
        """All or none of them. Raises Fail: `front.not-fixed`."""
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        try:
            for path, text in self._texts.items():
                kept = path.with_name(f".{path.name}.before-{moment}")
                _copy(path, kept, path.read_bytes())
                self.kept[path] = kept
                _replace(path, text.encode(encoding(path.read_bytes())))
        except (OSError, UnicodeError) as error:
            self.undo()
            where = str(getattr(error, "filename", "") or self._texts)
            raise Fail(NOT_FIXED("a file could not be written", Evidence(where, str(error)[:500]))) from error

    def undo(self) -> None:
        """What stood there before stands there again. Raises Fail: `front.not-fixed`, with the places of all copies."""
        try:
            for path, kept in self.kept.items():
                _replace(path, kept.read_bytes())
                kept.unlink()
            self.kept.clear()
        except OSError as error:
            seen = [Evidence(str(path), f"as it was before: {kept}") for path, kept in self.kept.items()]
            again = "Copy the files named in the evidence back by hand."
            raise Fail(NOT_FIXED(f"it could not be taken back: {error}", *seen, remedy=again)) from error


def _replace(path: Path, content: bytes) -> None:
    aside = path.with_name(f".{path.name}.aside")
    _copy(path, aside, content)
    aside.rename(path)


def _copy(like: Path, path: Path, content: bytes) -> None:
    """A file with this content, and mode, owner and attributes of another."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        there = like.stat()
        if (there.st_uid, there.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(descriptor, there.st_uid, there.st_gid)
        os.fsync(descriptor)
    shutil.copystat(like, path)
    os.utime(path)
