"""Files below a folder over HTTP on loopback, of which some misbehave for a while: held back, refused, broken off."""

from __future__ import annotations

import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

HOST = "127.0.0.1"
HELD = 60.0
"""Seconds in which a test has to let go of what is held back."""


class How(StrEnum):
    """Of an answer."""

    HELD = "is held back until all is well"
    BUSY = "is a 503"
    HALF = "breaks off midway"
    CLOSED = "is none: the connection ends"
    ZEROS = "has the length that was announced, in zeros"


@dataclass
class Files:
    """What is served, and what is asked for."""

    root: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)
    met: threading.Event = field(default_factory=threading.Event)
    """Set once somebody asks for what misbehaves."""
    _part: str = ""
    _how: How = How.BUSY
    _well: threading.Event = field(default_factory=threading.Event)

    def misbehave(self, part: str, how: How) -> None:
        """From now on, wherever a path has `part` in it."""
        self._well.clear()
        self.met.clear()
        self._part, self._how = part, how

    def be_well(self) -> None:
        """From now on, and for those who wait."""
        self._part = ""
        self._well.set()

    def answers(self, path: str) -> How | None:
        """How to misbehave; None to behave. Waits where it is held back."""
        self.asked.append(path)
        if not self._part or self._part not in path:
            return None
        self.met.set()
        if self._how is How.HELD:
            self._well.wait(HELD)
            return None
        return self._how


class _Handler(BaseHTTPRequestHandler):
    files: Files

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        how = self.files.answers(path)
        found = self.files.root / path.strip("/")
        found = found / "index.html" if found.is_dir() else found
        if how is How.CLOSED:
            return
        if how is How.BUSY or not found.is_file():
            self.send_error(404 if how is None else 503)
            return
        content = found.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", mimetypes.guess_type(found.name)[0] or "application/octet-stream")
        self.end_headers()
        if how is How.HALF:
            content = content[: len(content) // 2]
        elif how is How.ZEROS:
            content = bytes(len(content))
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Says nothing."""


@contextmanager
def served(root: Path) -> Iterator[Files]:
    """Until the block ends."""
    files = Files(root)
    handler = type("Handler", (_Handler,), {"files": files})
    server = ThreadingHTTPServer((HOST, 0), handler)
    server.daemon_threads = True
    files.url = f"http://{HOST}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield files
    finally:
        files.be_well()
        server.shutdown()
        server.server_close()
        thread.join(10)
