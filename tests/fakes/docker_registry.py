"""The real registry of images, Debian's docker-registry, on ephemeral ports of loopback, and a web server before it.

    with running_registry(tmp_path) as registry, front(registry.port) as before:
        repository_at(before.address, "project/name")
        before.asked        # what it was asked: methods and paths
        before.does_wrong   # how it answers in the registry's place

Mark tests with `needs_registry`.
"""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jwt
from joserfc.jwk import ECKey

from perijove.backends.registry.addresses import Repository, repository
from tests.e2e.service import until
from tests.fakes.ports import free_port
from tests.fakes.private_ca import Leaf, PrivateCa

PROGRAM = "docker-registry"
needs_registry = pytest.mark.skipif(
    shutil.which(PROGRAM) is None, reason="docker-registry is not installed: apt install docker-registry"
)
NAME, PASSWORD = "hub", "jupiter-and-moons"
HASHED = "$2b$04$abcdefghijklmnopqrstuu8R0aaxCZSgKwgNp1UOZZpsygMpeE5ey"
"""The password by bcrypt, the only way that it reads."""
SERVICE = "tests"
LIMIT = 30.0
"""Seconds for its end."""


def repository_at(address: str, name: str) -> Repository:
    """One of a registry."""
    found = repository(f"{address}/{name}")
    assert found is not None
    return found


@dataclass
class Tokens:
    """Whoever shows the password gets a token that the registry takes, for what it asked for."""

    ca: PrivateCa
    leaf: Leaf
    asked: list[Mapping[str, list[str]]] = field(default_factory=list)
    address: str = ""

    def given(self, query: str, authorization: str) -> tuple[int, bytes]:
        told = parse_qs(query)
        self.asked.append(told)
        if authorization != f"Basic {base64.b64encode(f'{NAME}:{PASSWORD}'.encode()).decode()}":
            return 401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]}'
        der = x509.load_pem_x509_certificate(self.leaf.chain.read_bytes()).public_bytes(Encoding.DER)
        access = []
        for scope in (one for scopes in told.get("scope", []) for one in scopes.split()):
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": SERVICE,
            "sub": NAME,
            "aud": SERVICE,
            "access": access,
            "jti": uuid.uuid4().hex,
        }
        claims |= {"iat": now, "nbf": now - 60, "exp": now + 600}
        header = {"alg": "ES256", "typ": "JWT", "x5c": [base64.b64encode(der).decode()]}
        key = ECKey.import_key(self.leaf.key.read_bytes())
        return 200, json.dumps({"token": jwt.encode(header, claims, key)}).encode()


@dataclass
class DockerRegistry:
    """One that runs."""

    port: int
    log: Path
    storage: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def running_registry(
    folder: Path,
    *,
    password: bool = False,
    tokens: Tokens | None = None,
    tls: Leaf | None = None,
    read_only: bool = False,
) -> Iterator[DockerRegistry]:
    """With nobody asked who they are, unless it is said how."""
    folder.mkdir(parents=True, exist_ok=True)
    registry = DockerRegistry(free_port(), folder / "registry.log", folder / "storage")
    storage: dict[str, Any] = {"filesystem": {"rootdirectory": str(registry.storage)}, "delete": {"enabled": True}}
    if read_only:
        storage["maintenance"] = {"readonly": {"enabled": True}}
    settings: dict[str, Any] = {"version": 0.1, "storage": storage, "http": {"addr": registry.address}}
    if tls is not None:
        settings["http"]["tls"] = {"certificate": str(tls.chain), "key": str(tls.key)}
    if password:
        (folder / "htpasswd").write_text(f"{NAME}:{HASHED}\n")
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    if tokens is not None:
        told = {"realm": f"http://{tokens.address}/token", "service": SERVICE, "issuer": SERVICE}
        settings["auth"] = {"token": {**told, "rootcertbundle": str(tokens.ca.file)}}
    (folder / "config.yml").write_text(json.dumps(settings))  # which is YAML
    with registry.log.open("wb") as log:
        process = subprocess.Popen([PROGRAM, "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        until(lambda: _answers(registry.port, tls is not None) or process.poll() is not None)
        assert process.poll() is None, registry.log.read_text()
        yield registry
    finally:
        process.terminate()
        process.wait(LIMIT)


def _answers(port: int, tls: bool) -> bool:
    context = ssl._create_unverified_context()
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
        if tls
        else http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    )
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status in {200, 401}
    except OSError:
        return False
    finally:
        connection.close()


@dataclass(frozen=True)
class Wrong:
    """How one kind of request is answered; `cut` without an answer, in the middle of what is sent."""

    method: str
    within: str
    """Part of the path."""
    status: int = 500
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass
class Front:
    """A web server before a registry."""

    registry_port: int
    tokens: Tokens | None = None
    address: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    does_wrong: list[Wrong] = field(default_factory=list)

    def count(self, method: str) -> int:
        return sum(1 for asked, _ in self.asked if asked == method)


class _Handler(BaseHTTPRequestHandler):
    before: Front
    protocol_version = "HTTP/1.1"

    def _act(self) -> None:
        self.before.asked.append((self.command, self.path))
        self.before.authorizations.append(self.headers.get("Authorization", ""))
        for wrong in self.before.does_wrong:
            if self.command == wrong.method and wrong.within in self.path:
                self._wrong(wrong)
                return
        content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        parts = urlsplit(self.path)
        if parts.path == "/token" and self.before.tokens is not None:
            self._answer(*self.before.tokens.given(parts.query, self.headers.get("Authorization", "")), {})
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.before.registry_port, timeout=60)
        try:
            connection.request(self.command, self.path, content, dict(self.headers))
            told = connection.getresponse()
            kept = {name: value for name, value in told.getheaders() if name.lower() not in {"date", "server"}}
            self._answer(told.status, told.read(), kept)
        finally:
            connection.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _act  # noqa: N815 - so http.server asks for them

    def _wrong(self, wrong: Wrong) -> None:
        self.close_connection = True
        if not wrong.cut:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self._answer(wrong.status, wrong.body, wrong.headers)

    def _answer(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Length", headers.get("Content-Length", f"{len(content)}"))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Tell nobody."""


@contextmanager
def front(registry_port: int = 0, tokens: Tokens | None = None, tls: Leaf | None = None) -> Iterator[Front]:
    """It passes all on, but for what it does wrong; `/token` is answered by `tokens`."""
    before = Front(registry_port, tokens)

    class Handler(_Handler):
        pass

    Handler.before = before
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        before.address = f"127.0.0.1:{server.server_address[1]}"
        server.daemon_threads = True
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.chain, tls.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), name="front", daemon=True)
        serving.start()
        try:
            yield before
        finally:
            server.shutdown()
            serving.join()
