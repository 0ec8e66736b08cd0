# ruff: noqa: PLC0415  what a request needs is imported by the child that answers it: a session pays for it no longer
"""The first process of a pod whose files are wanted: starts a command, reaps orphans, hands files out, takes them in.

Its text goes along with the pod, for any Python of 3.9 or newer: the standard library alone. In: words `key=value`,
`--`, the command; in the environment, which the command does not get, a token and the text of `perijove.giving`, for
what is given back. Out: the command's status.
Whoever has the token is handed files that are not as the image has them (`GET`: a tar), and may give some back (`PUT`:
a tar). What it says may be a lie: it runs with the rights of the pod's own people.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import sys
import time
from collections import Counter
from heapq import nsmallest
from types import ModuleType, SimpleNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from tarfile import TarFile
    from typing import IO, Any

TOKEN, GIVING, SOCKET, WAS = "PERIJOVE_FILES_TOKEN", "PERIJOVE_GIVING", "PERIJOVE_SOCKET_FD", "PERIJOVE.was"
HEAD, HEAD_LIMIT, LIMIT = 8192, 5, 60
"""Bytes of a request's head, seconds in which it is there, and in which it is answered; one at a time is."""
MOST, MOST_BYTES, DEEPEST = 200_000, 64 << 30, 100
"""Entries looked at or put, bytes that are put, folders in one another."""
PIECE = 1 << 18
FETCHED, ASKED, REFUSED = 0, 1, 2
"""How a child ends: all was handed out; something else was done for whoever has the token; nothing was."""
NO_LINKS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
FOLDER = NO_LINKS | os.O_DIRECTORY


class Pod:
    """`port`: of the command's socket, which listens before it starts; without it there is none. `files`: of requests.

    `folder`: whose files. `made`: Unix seconds, the time of all files in the image; without it all count as changed.
    `top`, `names`: what is never handed out, at the folder's top and anywhere; `/` stands between them. `stay`: seconds
    after the command's end for somebody to fetch, if the token came before; with `waits` in any case, and requests are
    answered only then. `limit`: seconds for a request.
    """

    def __init__(self, words: list[str], token: str, giving: str = "") -> None:
        told = dict(word.split("=", 1) for word in words)
        self.port, self.files, self.folder = int(told.get("port", 0)), int(told["files"]), told["folder"]
        self.made = float(told["made"]) if "made" in told else None
        self.top, self.names = told.get("top", "").split("/"), told.get("names", "").split("/")
        self.stay, self.waits, self.limit = float(told.get("stay", 0)), "waits" in told, int(told.get("limit", LIMIT))
        self.token, self.giving, self.started = token, giving, time.time()
        self.asked = self.fetched = self.ending = self.last = False
        self.status: int | None = None
        self.command = self.child = 0

    def run(self, command: list[str]) -> int:
        """Until it has ended, and somebody has fetched. Raises OSError where it does not start."""
        requests, (woken, waking) = _listening(self.files), os.pipe()
        os.set_blocking(waking, False)
        signal.set_wakeup_fd(waking)
        for one in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(one, lambda *_: None)
        self.command = self._start(command)
        until = None
        while self.status is None or self._stays(until):
            watched: list[Any] = [woken] if self.child or (self.waits and self.status is None) else [woken, requests]
            ready, *_ = select.select(watched, [], [], None if until is None else max(0.0, until - time.monotonic()))
            if woken in ready:
                self._woken(os.read(woken, 4096))
            if until is None and self.status is not None:
                until = time.monotonic() + self.stay
            if requests in ready:
                self._answer(requests)
        return self.status

    def _stays(self, until: float | None) -> bool:
        wanted = (self.waits or self.asked) and not self.fetched and not self.ending
        return wanted and (until is None or time.monotonic() < until)

    def _start(self, command: list[str]) -> int:
        ignored_by_python = [signal.SIGPIPE, signal.SIGXFSZ]
        if not self.port:
            return os.posix_spawnp(command[0], command, os.environ, setsigdef=ignored_by_python)
        with _listening(self.port) as listener:
            listener.set_inheritable(True)
            environ = {**os.environ, SOCKET: str(listener.fileno())}
            return os.posix_spawnp(command[0], command, environ, setsigdef=ignored_by_python)

    def _woken(self, signals: bytes) -> None:
        if signal.SIGTERM in signals:
            self.ending = True
            if self.status is None:
                os.kill(self.command, signal.SIGTERM)
        while True:
            try:
                pid, ended = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            code = 128 + os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else os.WEXITSTATUS(ended)
            if pid == self.command and self.status is None:
                self.status = code
            elif pid == self.child:
                self.child = 0
                self.asked |= code in (FETCHED, ASKED)
                self.fetched |= code == FETCHED and self.last

    def _answer(self, requests: socket.socket) -> None:
        try:
            line, _ = requests.accept()
            self.last, self.child = self.status is not None, os.fork()
        except OSError:  # whoever asked is gone, or the pod's people left no process
            return
        if self.child:
            line.close()
            return
        code = REFUSED
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            requests.close()
            code = Request(self, line).answer()
        except BaseException as error:  # noqa: BLE001  whoever asked sees that it broke off
            print(f"a request for files broke off: {error!r}"[:300], file=sys.stderr, flush=True)  # noqa: T201
        finally:
            os._exit(code)


class Request:
    """One of them, in a process of its own."""

    def __init__(self, pod: Pod, line: socket.socket) -> None:
        self.pod, self.line = pod, line
        self.left_out = Counter[str]()
        self.looked = 0

    def answer(self) -> int:
        """How it ended. Raises SystemExit, OSError, ValueError, tarfile.TarError."""
        from hmac import compare_digest

        signal.signal(signal.SIGALRM, _late)
        signal.alarm(HEAD_LIMIT)
        head, came = b"", self.line.makefile("rb")
        while not head.endswith(b"\r\n\r\n"):
            head += (line := came.readline(HEAD))
            if not line or len(head) > HEAD:
                return REFUSED
        first, *lines = head.split(b"\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        given, right = fields.get(b"authorization", b""), f"Bearer {self.pod.token}".encode()
        if not self.pod.token or not compare_digest(given, right):
            self._say("401 Unauthorized")
            return REFUSED
        signal.alarm(self.pod.limit)
        method, _, rest = first.decode("latin-1").partition(" ")
        query = rest.partition(" ")[0].partition("?")[2].split("&")
        told = {name: int(value) for name, _, value in (one.partition("=") for one in query) if value}
        if method == "GET":
            self._hand_out(told)
            return FETCHED
        if method != "PUT":
            return REFUSED
        self._take_in(_Body(came, min(int(fields.get(b"content-length", b"0")), MOST_BYTES)), told)
        return ASKED

    def _say(self, status: str, body: bytes = b"") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.line.sendall(head.encode() + body)

    def _hand_out(self, bounds: dict[str, int]) -> None:
        """The smallest that fit within `size` bytes and `files`, by their names; none where `known` is their tag."""
        import json
        import tarfile

        size, taken = bounds.get("size", MOST_BYTES), list[str]()
        folder = os.open(self.pod.folder, FOLDER)
        found = nsmallest(bounds.get("files", MOST), self._changed(folder, "", size))
        for length, path, _ in found:
            self.left_out["MANY"] -= 1
            size -= length
            if size >= 0:
                taken.append(path)
            else:
                self.left_out["LARGE"] += 1
        tag = hash((*found, *self.left_out.items()))  # each child of this process has the same hashes
        if tag == bounds.get("known"):
            self._say("304 Not Modified")
            return
        left_out = {why: number for why, number in self.left_out.items() if number}
        told = json.dumps({"files": len(taken), "left_out": left_out, "status": self.pod.status, "tag": tag})
        head = f"Transfer-Encoding: chunked\r\nPerijove-Files: {told}\r\nConnection: close\r\n\r\n"
        self.line.sendall(f"HTTP/1.1 200 OK\r\n{head}".encode())
        with tarfile.open(None, "w|", _Chunks(self.line), PIECE, format=tarfile.PAX_FORMAT, **_NAMES) as tar:  # type: ignore[call-overload]
            for path in sorted(taken):
                _add(tar, folder, path)
        self.line.sendall(b"0\r\n\r\n")  # it was all

    def _changed(self, folder: int, at: str, size: int) -> Iterator[tuple[int, str, int]]:
        """Files that are not as the image has them, by their sizes; what is not handed out is counted."""
        with os.scandir(folder) as entries:
            for entry in entries:
                self.looked += 1
                if self.looked > MOST:
                    self.left_out["MANY"] += 1
                    return
                try:
                    yield from self._entry(folder, entry, at, size)
                except FileNotFoundError:  # it went meanwhile
                    continue
                except OSError:
                    self.left_out["CLOSED"] += 1

    def _entry(self, folder: int, entry: os.DirEntry[str], at: str, size: int) -> Iterator[tuple[int, str, int]]:
        path, facts = f"{at}{entry.name}", entry.stat(follow_symlinks=False)
        new = self._is_new(facts)
        if entry.name in self.pod.names or (not at and entry.name in self.pod.top):
            self.left_out["CACHE"] += new
        elif stat.S_ISDIR(facts.st_mode) and path.count("/") >= DEEPEST:
            self.left_out["DEEP"] += 1
        elif stat.S_ISDIR(facts.st_mode):
            with _Open(os.open(entry.name, FOLDER, dir_fd=folder)) as below:
                yield from self._changed(below, f"{path}/", size)
        elif new and not stat.S_ISREG(facts.st_mode):
            self.left_out["LINK" if stat.S_ISLNK(facts.st_mode) else "SPECIAL"] += 1
        elif new and not os.access(entry.name, os.R_OK, dir_fd=folder):
            self.left_out["CLOSED"] += 1
        elif new and facts.st_size > size:
            self.left_out["LARGE"] += 1
        elif new:
            self.left_out["MANY"] += 1  # until it is taken
            yield facts.st_size, path, facts.st_ctime_ns

    def _is_new(self, facts: os.stat_result) -> bool:
        """Times in an image are all the same; what is moved or copied keeps them, and has another of its inode's.

        A folder that is moved is copied: an overlay moves none of an image's (EXDEV, overlayfs.rst).
        """
        return facts.st_mtime != self.pod.made or facts.st_ctime >= self.pod.started

    def _take_in(self, body: _Body, bounds: dict[str, int]) -> None:
        """Files that have a place; what became of them is answered."""
        import json
        import tarfile

        rules = ModuleType("giving")
        exec(self.pod.giving, rules.__dict__)  # noqa: S102  it came with our own text
        giving = rules.Giving(os.open(self.pod.folder, FOLDER), bounds.get("room", 0), bool(bounds.get("same_commit")))
        with tarfile.open(None, "r|", body, PIECE, **_NAMES) as tar:  # type: ignore[call-overload]
            for info in tar:
                path = tuple(info.name.split("/"))
                if info.isreg() and not {"", ".", ".."} & {*path}:
                    is_program, was = bool(info.mode & 0o100), info.pax_headers.get(WAS, "")
                    content = tar.extractfile(info)
                    giving.give(SimpleNamespace(
                        path=path, size=info.size, was=was, executable=is_program, modified=info.mtime, content=content
                    ))  # fmt: skip
        while body.read(PIECE):
            continue
        told = {name: getattr(giving, name) for name in ("files", "beside", "no_room", "refused")}
        self._say("200 OK", json.dumps(told).encode())


class _Chunks:
    """As HTTP/1.1 has them: where the last one is missing, it broke off."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def write(self, piece: bytes) -> int:
        if piece:
            self._line.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        return len(piece)


class _Body:
    """A request's."""

    def __init__(self, came: IO[bytes], size: int) -> None:
        self._came, self._left = came, size

    def read(self, size: int) -> bytes:
        piece = self._came.read(min(size, self._left))
        if not piece and size and self._left:
            raise ConnectionError("what is put broke off")
        self._left -= len(piece)
        return piece


class _Open:
    """A descriptor, closed in the end."""

    def __init__(self, opened: int) -> None:
        self._opened = opened

    def __enter__(self) -> int:
        return self._opened

    def __exit__(self, *_: object) -> None:
        os.close(self._opened)


_NAMES = {"encoding": "utf-8", "errors": "surrogateescape"}


def _late(*_: object) -> None:
    raise SystemExit("it took too long")  # no OSError: nobody shall take it for one


def _add(tar: TarFile, folder: int, path: str) -> None:
    """A file as it is now; nothing where it is none any more, and zeros where it became shorter."""
    import tarfile

    *above, name = path.split("/")
    try:
        with _Open(_folder(folder, above)) as into:
            opened = _opened(into, name)
    except OSError:
        return
    with opened as file:
        facts = os.fstat(file.fileno())
        if stat.S_ISREG(facts.st_mode):
            info = tarfile.TarInfo(path)
            info.size, info.mode, info.mtime = facts.st_size, facts.st_mode & 0o777, facts.st_mtime
            tar.addfile(info, _Padded(file))


class _Padded:
    """A file that goes on with zeros where it became shorter meanwhile."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = 0, /) -> bytes:
        return self._file.read(size).ljust(size, b"\0")


def _folder(folder: int, names: list[str]) -> int:
    """One below an open folder, open, through folders alone. Raises OSError."""
    opened = os.dup(folder)
    for name in names:
        try:
            further = os.open(name, FOLDER, dir_fd=opened)
        finally:
            os.close(opened)
        opened = further
    return opened


def _opened(folder: int, name: str) -> IO[bytes]:
    return open(os.open(name, NO_LINKS, dir_fd=folder), "rb")


def _listening(port: int) -> socket.socket:
    both = socket.has_dualstack_ipv6()
    family, host = (socket.AF_INET6, "::") if both else (socket.AF_INET, "")
    return socket.create_server((host, port), family=family, backlog=1024, dualstack_ipv6=both)


if __name__ == "__main__":
    at = sys.argv.index("--")
    secrets = (os.environ.pop(name, "") for name in (TOKEN, GIVING))
    sys.exit(Pod(sys.argv[1:at], *secrets).run(sys.argv[at + 1 :]))
