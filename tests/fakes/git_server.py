"""Real git over HTTP on loopback: `git http-backend` behind a small threaded server, with hosts' ill manners as paths.

The first part of a URL's path is the manner: `plain`, `slow`, `missing`, `login` (lets in `ada` with `open`), `denied`,
`broken`, `busy`, `cut`, `old` (protocol version 0, no commit but the refs' own, no filters), `elsewhere` (redirects to
`plain`), `away` (redirects to `Server.away`), `lfs` (an object of `Server.lfs`), `token` (asks for one of
`Server.tokens`, and says what GitHub and GitLab do), `astray` (asks for one, then redirects to `Server.away`). The rest
names a repository.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_STATUSES = {"missing": 404, "denied": 403, "broken": 500, "busy": 503}
_LOGIN = "Basic " + base64.b64encode(b"ada:open").decode()
WHO = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


@dataclass
class Author:
    """Somebody who makes a repository with the real git: bare at `bare`, worked on at `tree`."""

    tree: Path
    bare: Path

    def git(self, *args: str, stdin: str = "") -> str:
        """Run git in the working tree; what it wrote."""
        command = ["git", "-c", "protocol.file.allow=always", *args]
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.tree), **WHO}
        ran = subprocess.run(
            command, cwd=self.tree, env=environ, input=stdin, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"git {args}: {ran.stderr}"
        return ran.stdout.strip()

    def commit(self, files: Mapping[str, str | bytes], message: str = "files") -> str:
        """Write files, commit and push all; the commit."""
        for name, content in files.items():
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        self.push()
        return self.git("rev-parse", "HEAD")

    def push(self) -> None:
        """Bring all branches and tags to the bare repository."""
        self.git("push", "--quiet", "--force", str(self.bare), "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")


@dataclass
class Server:
    """A running server."""

    root: Path
    port: int
    away: str = "http://127.0.0.1:1/x"
    """Where `away` redirects to, without the repository's name."""
    asked: list[str] = field(default_factory=list)
    """`METHOD path` of each request so far."""
    lfs: dict[str, bytes] = field(default_factory=dict)
    """What Git LFS can be asked for, by its SHA-256."""
    lfs_base: str = ""
    """Where LFS objects are said to be; this server when empty."""
    tokens: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Which repositories each opens; `(403)` for one without the scope."""
    shown: list[str] = field(default_factory=list)
    """The `Authorization` of each request that had one."""
    released: threading.Event = field(default_factory=threading.Event)
    """`slow` answers once this is set."""

    def url(self, name: str, manner: str = "plain", host: str = "127.0.0.1") -> str:
        """The URL of a repository, served in a manner."""
        return f"http://{host}:{self.port}/{manner}/{name}"

    def author(self, name: str, branch: str = "main", kind: str = "sha1") -> Author:
        """A new empty repository `name` and somebody to fill it."""
        bare, tree = self.root / "bare" / name, self.root / "trees" / name
        for path, args in ((bare, ("init", "--bare")), (tree, ("init",))):
            path.mkdir(parents=True)
            command = ["git", *args, "--quiet", f"--object-format={kind}", "-b", branch, str(path)]
            subprocess.run(command, check=True, env={"PATH": os.environ["PATH"], **WHO})
        for setting in ("uploadpack.allowFilter=true", "uploadpack.allowAnySHA1InWant=true", "http.uploadpack=true"):
            key, value = setting.split("=")
            subprocess.run(["git", "-C", str(bare), "config", key, value], check=True)
        return Author(tree, bare)


@contextmanager
def serving(root: Path, host: str = "127.0.0.1") -> Iterator[Server]:
    """A server of the bare repositories below `root/bare`, on a free port."""
    http = ThreadingHTTPServer((host, 0), _Handler)
    http.daemon_threads = False
    server = Server(root, http.server_address[1])
    http.tale = server  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, name="git server")
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        http.shutdown()
        http.server_close()
        thread.join()
        shutil.rmtree(root, ignore_errors=True)


def _batch(server: Server, asked: dict[str, Any]) -> dict[str, Any]:
    """The answer of an LFS server to a request for objects."""
    base = server.lfs_base or f"http://127.0.0.1:{server.port}/lfs"
    rows = [
        {"oid": one["oid"], "size": one["size"], "actions": {"download": {"href": f"{base}/{one['oid']}"}}}
        if one["oid"] in server.lfs
        else {"oid": one["oid"], "size": one["size"], "error": {"code": 404, "message": "no such object"}}
        for one in asked["objects"]
    ]
    return {"transfer": "basic", "objects": rows}


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length")
        self._answer(self.rfile.read(int(length)) if length else b"".join(self._chunks()))

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _answer(self, body: bytes) -> None:
        tale: Server = self.server.tale
        tale.asked.append(f"{self.command} {self.path}")
        manner, _, rest = self.path.lstrip("/").partition("/")
        if "Authorization" in self.headers:
            tale.shown.append(self.headers["Authorization"])
        try:
            if manner in _STATUSES:
                self.send_error(_STATUSES[manner])
            elif manner == "lfs":
                self._bytes(tale.lfs[rest], "application/octet-stream")
            elif manner == "login" and self.headers.get("Authorization") != _LOGIN:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif manner in ("token", "astray") and (said := self._refused(rest)):
                self._plain(*said)
            elif manner in ("elsewhere", "away", "astray"):
                self.send_response(301)
                self.send_header(
                    "Location", f"{tale.away}/{rest}" if manner in ("away", "astray") else f"/plain/{rest}"
                )
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif rest.endswith("/info/lfs/objects/batch"):
                self._bytes(json.dumps(_batch(tale, json.loads(body))).encode(), "application/vnd.git-lfs+json")
            else:
                if manner == "slow":
                    tale.released.wait(60)
                self._served(manner, rest, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _refused(self, rest: str) -> tuple[int, str] | None:
        """As github.com and gitlab.com answered in 2024."""
        tale: Server = self.server.tale
        pair = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        opens = tale.tokens.get(pair.partition(":")[2])
        if not pair:
            return 401, ""
        if opens is None:
            return 401, "Invalid username or token. Password authentication is not supported for Git operations."
        if "(403)" in opens:
            return 403, "HTTP Basic: Access denied. Your token lacks the scope read_repository."
        return None if rest.partition("/")[0] in opens else (404, "Repository not found.")

    def _plain(self, status: int, words: str) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="GitHub"')
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(words)))
        self.end_headers()
        self.wfile.write(words.encode())

    def _bytes(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _served(self, manner: str, rest: str, body: bytes) -> None:
        path, _, query = rest.partition("?")
        refuses = manner == "old"
        limits = {
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "uploadpack.allowAnySHA1InWant",
            "GIT_CONFIG_VALUE_0": "false",
        }
        limits |= {"GIT_CONFIG_KEY_1": "uploadpack.allowFilter", "GIT_CONFIG_VALUE_1": "false"}
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.tale.root / "bare"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": "/" + path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
            **(limits if refuses else {}),
            **({} if refuses else {"GIT_PROTOCOL": self.headers.get("Git-Protocol", "")}),
            **WHO,
        }
        ran = subprocess.run(["git", "http-backend"], input=body, env=environ, capture_output=True, check=False)
        head, _, content = ran.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        cut = manner == "cut" and self.command == "POST" and "upload-pack" in path and b"PACK" in content
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = self.close_connection or cut
