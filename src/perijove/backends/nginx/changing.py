"""Put files in the place of nginx's own: kept aside first, tested, taken up by nginx, started where it is down; or all
taken back.

A reload that nginx was told of may come to nothing: it says 0, and its log why (`ngx_init_cycle` of 1.22 keeps the old
cycle where a socket cannot be bound). So its workers tell whether it was taken up, and its log why it was not.
Names that begin with a dot are met by no pattern of an `include`, so that nothing kept aside is read as configuration.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from perijove.backends.nginx.reading import USUAL, encoding
from perijove.domain.failures import Evidence, Fail
from perijove.domain.front_failures import NOT_FIXED
from perijove.domain.web_servers import Configuration

LIMIT = 30.0
"""Seconds for a command of nginx's."""
PAUSE = 0.05
"""Seconds between two looks whether it has taken up what it was told."""
LOGGED = 100_000
"""Octets of its log that are read."""
SYSTEMD = Path("/run/systemd/system")
"""sd_booted(3)."""
_DOWN = re.compile(r"invalid PID number|open\(\) .* failed \(2:|kill\(.*failed \(3:")
"""What `nginx -s reload` says where none runs (`ngx_signal_process` of 1.22)."""


def _built(program: str) -> dict[str, str]:
    """What it was built with, as `nginx -V` tells: `pid-path`, `error-log-path`, `prefix`."""
    try:
        ran = subprocess.run([program, "-V"], capture_output=True, text=True, timeout=LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(re.findall(r"--([a-z-]+)=(\S+)", ran.stderr))


def _place(
    configuration: Configuration, name: str, usual: str, built: Mapping[str, str], prefix: Path | None
) -> Path | None:
    """A file of nginx's: as its main file says, else as it was built; None where nobody can say."""
    said = configuration.main.last(name)
    path = said.args[0] if said is not None and said.args else usual
    if not path or path == "stderr" or path.startswith(("syslog:", "memory:")):
        return None
    return Path(prefix or built.get("prefix", "/"), path)


class Nginx:
    """The program, with the main file and prefix that the running one was given."""

    def __init__(self, configuration: Configuration, prefix: Path | None = None, reload: str = "") -> None:
        main = Path(configuration.main.file)
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/nginx/sbin")
        self._command = [program or "nginx", "-c", str(main), *(["-p", str(prefix)] if prefix is not None else [])]
        self._reload = shlex.split(reload) or [*self._command, "-s", "reload"]
        by_systemd = SYSTEMD.is_dir() and prefix is None and main == USUAL
        self._start = ["systemctl", "start", "nginx"] if by_systemd else self._command
        self._stop = ["systemctl", "stop", "nginx"] if by_systemd else [*self._command, "-s", "quit"]
        built = _built(self._command[0])
        self._pid = _place(configuration, "pid", built.get("pid-path", ""), built, prefix)
        self._log = _place(configuration, "error_log", built.get("error-log-path", ""), built, prefix)
        self.started = False
        """Whether it was down, and had to be started."""

    def test(self) -> None:
        """Raises Fail: `front.not-fixed`."""
        self._run([*self._command, "-t"], "nginx refuses it")

    def take_up(self, limit: float) -> None:
        """Returns once it works by the files that are there. Raises Fail: `front.not-fixed`."""
        before, written = self._workers(), self._size()
        try:
            self._run(self._reload, "it could not be reloaded")
        except Fail as error:
            if before or not any(_DOWN.search(one.saw) for one in error.failure.evidence):
                raise
            self._run(self._start, "it does not run, and could not be started")
            self.started = True
            return
        until = time.monotonic() + limit
        while before and not self._workers() - before:
            if (refused := self._refused(written)) or time.monotonic() > until:
                seen = Evidence(str(self._log or "nginx"), refused or f"the same workers after {limit:g} s")
                raise Fail(NOT_FIXED("nginx did not take it up", seen))
            time.sleep(PAUSE)

    def take_back(self) -> None:
        """As it was before `take_up`, where the files are: it runs by them, or not at all. Raises Fail."""
        if self.started:
            self._run(self._stop, "it could not be stopped again")
        elif self._workers():
            self._run(self._reload, "it could not be reloaded")

    def _workers(self) -> set[int]:
        """Those that take connections; none where it does not run, or where this user may not see it."""
        try:
            master = psutil.Process(int(self._pid.read_text())) if self._pid is not None else None
            children = master.children() if master is not None and "nginx" in master.name() else []
            return {one.pid for one in children if "shutting down" not in " ".join(one.cmdline())}
        except (OSError, ValueError, psutil.Error):
            return set()

    def _size(self) -> int:
        try:
            return self._log.stat().st_size if self._log is not None else 0
        except OSError:
            return 0

    def _refused(self, since: int) -> str:
        """Why it kept to the old files, as its log has it from there on; `` for nothing."""
        try:
            if self._log is None:
                return ""
            with self._log.open("rb") as file:
                file.seek(since)
                lines = file.read(LOGGED).decode(errors="replace").splitlines()
        except OSError:
            return ""
        wrong = [line for line in lines if "[emerg]" in line]
        return "\n".join(dict.fromkeys(wrong[-3:])) if any("still could not bind" in line for line in wrong) else ""

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
