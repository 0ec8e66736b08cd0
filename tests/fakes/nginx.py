"""A real nginx with a configuration of the test's own: pid, logs and temporary files in a folder, any user may run it.

    with running_nginx(folder, http="server { listen 127.0.0.2:20080; return 404; }") as nginx:
        nginx.reload(http="…", stream="server { listen 127.0.0.2:20443; proxy_pass 127.0.0.1:8443; }")

`http` and `stream` are what stands in the blocks of these names. Where nginx is not installed, `missing` says so.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from perijove.doctor.front.requests import Files, Hop, NotListening, Passes, Redirects, Responds
from tests.e2e.service import until

_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
LIMIT = 30.0


def program() -> str:
    """Where nginx is; `` where it is not."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin") or ""


def missing(*, stream: bool = False) -> str:
    """Why there can be no nginx here; `` where there can."""
    if not program():
        return "nginx is not installed (Debian: apt-get install nginx-light)"
    return (
        f"{_STREAM} is not installed (Debian: apt-get install libnginx-mod-stream)" if stream and not _stream() else ""
    )


@dataclass
class Nginx:
    """A running nginx."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Its error log so far."""
        file = self.folder / "error.log"
        return file.read_text() if file.exists() else ""

    def start(self, http: str, stream: str = "") -> None:
        """Start it; returns once it listens."""
        self._write(http, stream)
        self.process = process = subprocess.Popen(
            [*self._command(), "-g", "daemon off;"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(lambda: process.poll() is not None or self._workers(), LIMIT)
        assert process.poll() is None, self.log

    def reload(self, http: str, stream: str = "") -> None:
        """Other blocks; returns once workers with these have taken over. Raises AssertionError where nginx refuses."""
        before = self._workers()
        self._write(http, stream)
        tried = subprocess.run([*self._command(), "-t"], capture_output=True, text=True, timeout=LIMIT, check=False)
        assert tried.returncode == 0, tried.stderr
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)
        until(lambda: (now := self._workers()) and not now & before, LIMIT)

    def stop(self) -> None:
        """End it and its workers; nothing where it does not run."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(LIMIT)

    def _command(self) -> list[str]:
        return [
            program(),
            "-p",
            str(self.folder),
            "-c",
            str(self.folder / "nginx.conf"),
            "-e",
            str(self.folder / "error.log"),
        ]

    def _workers(self) -> set[int]:
        """Workers that take connections; none before the master has bound all it listens on."""
        assert self.process is not None
        pid = self.folder / "nginx.pid"
        if not pid.exists() or pid.read_text().strip() != str(self.process.pid):
            return set()
        return {one.pid for one in psutil.Process(self.process.pid).children() if not _shutting_down(one)}

    def _write(self, http: str, stream: str) -> None:
        temporary = "\n".join(f"{name}_temp_path {self.folder}/{name};" for name in _TEMPORARY)
        lines = [f"load_module {_STREAM};"] if stream and _stream() else []
        lines += ["user root;"] if os.geteuid() == 0 else []
        lines += ["worker_processes 1;", f"pid {self.folder}/nginx.pid;", "events { worker_connections 256; }"]
        lines += [f"http {{\naccess_log {self.folder}/access.log;\n{temporary}\n{http}\n}}"]
        lines += [f"stream {{\n{stream}\n}}"] if stream else []
        (self.folder / "nginx.conf").write_text("\n".join(lines) + "\n")


def _shutting_down(worker: psutil.Process) -> bool:
    """Whether it only ends what it began, as its title says."""
    try:
        return "shutting down" in " ".join(worker.cmdline()) or worker.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def running_nginx(folder: Path, http: str, stream: str = "") -> Iterator[Nginx]:
    """One nginx, ended whatever happens."""
    nginx = Nginx(folder)
    try:
        nginx.start(http, stream)
        yield nginx
    finally:
        nginx.stop()


def self_signed(folder: Path, name: str, *critical: x509.ExtensionType) -> tuple[Path, Path]:
    """A certificate that nobody trusts and its key, in PEM: what an ingress shows by default."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    made = x509.CertificateBuilder(
        subject,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        now - timedelta(hours=1),
        now + timedelta(days=9),
    ).add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    for extension in critical:
        made = made.add_extension(extension, critical=True)
    chain, secret = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return chain, secret


def _stream() -> bool:
    """Whether it knows `stream`, built in or as a module."""
    said = subprocess.run([program(), "-V"], capture_output=True, text=True, timeout=LIMIT, check=False).stderr
    return "--with-stream " in said or _STREAM.exists()


def foretold(hop: Hop) -> str:
    """What the doctor foretells of a request, in the words in which tests tell nginx's answer."""
    match hop.outcome:
        case Redirects(status=status, location=location):
            return f"{status} {location}"
        case Responds(status=200, by=by):
            return f"200 {by.args[-1]}"
        case Responds(status=status):
            return str(status)
        case Files():
            return "404"
        case Passes(host=host, path=path):
            return f"200 up {host} {path}"
        case NotListening():
            return "nobody"
        case other:
            return str(other)
