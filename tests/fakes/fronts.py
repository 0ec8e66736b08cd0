"""Real web servers in front of something: HAProxy, Apache, Caddy and nginx with configurations of the tests' own.

    with running_front("HAProxy", folder, text, ports): ...     # returns once somebody takes requests at all ports
    text = written("Apache", front)                             # what `doctor.front.lines` says, for these ports

Where a program is not installed, `missing` says so.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from perijove.backends.caddy.program import binary
from perijove.doctor.front.lines import WRITTEN, Front
from tests.e2e.service import until
from tests.fakes.private_ca import Leaf

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_PROGRAMS = {"nginx": "nginx", "HAProxy": "haproxy", "Apache": "apache2"}
_PACKAGES = {"nginx": "nginx-light", "HAProxy": "haproxy", "Apache": "apache2-bin"}
_MODULES = Path("/usr/lib/apache2/modules")
_LOADED = ("mpm_event", "authz_core", "headers", "rewrite", "proxy", "proxy_http", "proxy_wstunnel", "ssl")
LIMIT = 30.0


@dataclass(frozen=True)
class Doors:
    """Where a front listens, before whom, and what it shows."""

    address: str
    http: int
    https: int
    host: str
    upstream: str
    leaf: Leaf
    base: str = "/"


def missing(name: str) -> str:
    """Why there can be no such front here; `` where there can."""
    if name == "Caddy":
        return ""
    found = shutil.which(_PROGRAMS[name], path=_PATH)
    if not found or (name == "Apache" and not _MODULES.is_dir()):
        return f"{_PROGRAMS[name]} is not installed (Debian: apt-get install {_PACKAGES[name]})"
    return ""


def written(name: str, doors: Doors, folder: Path) -> str:
    """The whole configuration around the lines that the doctor writes, at these doors."""
    lines = WRITTEN[name](Front((doors.host,), doors.upstream, own=False, base=doors.base))
    return {"nginx": _nginx, "HAProxy": _haproxy, "Apache": _apache, "Caddy": _caddy}[name](lines, doors, folder)


def _replaced(text: str, *pairs: tuple[str, str]) -> str:
    for theirs, ours in pairs:
        assert theirs in text, f"{theirs!r} is not in:\n{text}"
        text = text.replace(theirs, ours)
    return text


def _nginx(lines: str, doors: Doors, folder: Path) -> str:
    server = _replaced(
        lines,
        ("    listen [::]:80;\n", ""), ("    listen [::]:443 ssl;\n", ""),
        ("listen 80;", f"listen {doors.address}:{doors.http};"),
        ("listen 443 ssl;", f"listen {doors.address}:{doors.https} ssl;"),
        ("https://$host$request_uri", f"https://$host:{doors.https}$request_uri"),
        (f"/etc/nginx/{doors.host}.pem", str(doors.leaf.chain)), (f"/etc/nginx/{doors.host}.key", str(doors.leaf.key)),
    )  # fmt: skip
    return nginx(server, folder)


def nginx(http: str, folder: Path) -> str:
    """A main file around what stands in `http`."""
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{name}_temp_path {folder}/{name};" for name in names)
    user = "user root;\n" if os.geteuid() == 0 else ""
    return (
        f"{user}worker_processes 1;\ndaemon off;\npid {folder}/nginx.pid;\nevents {{ worker_connections 256; }}\n"
        f"http {{\naccess_log off;\n{temporary}\n{http}\n}}\n"
    )


def _haproxy(lines: str, doors: Doors, folder: Path) -> str:
    both = folder / "haproxy.pem"
    both.touch(0o600)
    both.write_bytes(doors.leaf.chain.read_bytes() + doors.leaf.key.read_bytes())
    lines = _replaced(lines, ("redirect scheme https", f"redirect prefix https://{doors.host}:{doors.https} code 301"))
    chosen = ["default_backend perijove"] if doors.base == "/" else []
    parts = [line.partition(":") for line in lines.splitlines()]
    sections = {name: [line.strip() for one, _, line in parts if one == name] for name in ("frontend", "backend")}
    return "\n".join([
        "defaults", "mode http", "timeout connect 5s", "timeout client 60s", "timeout server 60s",
        "frontend web", f"bind {doors.address}:{doors.http}", f"bind {doors.address}:{doors.https} ssl crt {both}",
        *sections["frontend"], *chosen, "backend perijove", *sections["backend"], "",
    ])  # fmt: skip


def _apache(lines: str, doors: Doors, folder: Path) -> str:
    condition, *rest = lines.splitlines()
    user = ["User nobody", "Group nogroup"] if os.geteuid() == 0 else []
    return "\n".join([
        *(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in _LOADED), *user,
        f"ServerName {doors.host}", f"PidFile {folder}/apache.pid", f"ErrorLog {folder}/apache.log",
        f"DefaultRuntimeDir {folder}", f"Mutex file:{folder} default",
        f"Listen {doors.address}:{doors.http}", f"Listen {doors.address}:{doors.https} https",
        f"<VirtualHost {doors.address}:{doors.http}>", "RewriteEngine On", condition,
        f'RewriteRule "(.*)" "https://{doors.host}:{doors.https}$1" [R=301,L]', *rest, "</VirtualHost>",
        f"<VirtualHost {doors.address}:{doors.https}>", "SSLEngine on", f"SSLCertificateFile {doors.leaf.chain}",
        f"SSLCertificateKeyFile {doors.leaf.key}", *rest, "</VirtualHost>", "",
    ])  # fmt: skip


def _caddy(lines: str, doors: Doors, folder: Path) -> str:
    bind = f"    bind {doors.address}\n"
    tls = f"tls {doors.leaf.chain} {doors.leaf.key}"
    site = _replaced(
        lines,
        (f"http://{doors.host} {{\n", f"http://{doors.host}:{doors.http} {{\n{bind}"),
        (f"\n{doors.host} {{\n", f"\nhttps://{doors.host}:{doors.https} {{\n{bind}    {tls}\n"),
        ("https://{host}{uri}", f"https://{{host}}:{doors.https}{{uri}}"),
    )  # fmt: skip
    return f"{{\n    admin off\n    auto_https off\n    persist_config off\n}}\n{site}"


@contextmanager
def running_front(name: str, folder: Path, text: str, address: str, *ports: int) -> Iterator[None]:
    """One, ended whatever happens."""
    file, log = folder / f"{name}.conf", folder / f"{name}.out"
    file.write_text(text)
    program = str(binary()) if name == "Caddy" else shutil.which(_PROGRAMS[name], path=_PATH) or ""
    command = {
        "nginx": [program, "-p", str(folder), "-c", str(file), "-e", str(folder / "error.log")],
        "HAProxy": [program, "-db", "-f", str(file)],
        "Apache": [program, "-X", "-D", "FOREGROUND", "-f", str(file)],
        "Caddy": [program, "run", "--config", str(file), "--adapter", "caddyfile"],
    }[name]
    environ = {"PATH": _PATH, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environ)
    try:
        until(lambda: process.poll() is not None or all(_answers(address, port) for port in ports), LIMIT)
        assert process.poll() is None, log.read_text() + text
        yield
    finally:
        process.terminate()
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(LIMIT)


def _answers(address: str, port: int) -> bool:
    """Whatever it says, or that it ends what is no TLS: who listens may take no requests yet."""
    with socket.socket() as probe:
        probe.settimeout(LIMIT)
        try:
            probe.connect((address, port))
            probe.sendall(b"GET / HTTP/1.0\r\n\r\n")
            probe.recv(1)
        except (ConnectionRefusedError, TimeoutError):
            return False
        except ConnectionError:
            return True
    return True
