"""A Debian repository of our own with a key of its own, for packages that do whatever a package may do.

The base that it is for has to trust `key`, in `/etc/apt/trusted.gpg.d`. Needs gpg and dpkg-deb.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


@dataclass
class Deb:
    """A package: what its control file says, its files by their paths, and its scripts by their names."""

    name: str
    version: str = "1.0"
    depends: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)
    data: bytes | None = None
    """Its data.tar, where it shall hold what dpkg-deb would not pack."""

    def write(self, pool: Path) -> Path:
        """Its archive."""
        pool.mkdir(parents=True, exist_ok=True)
        path = pool / f"{self.name}_{self.version}_all.deb"
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder) / "tree"
            (tree / "DEBIAN").mkdir(parents=True)
            (tree / "DEBIAN/control").write_text(self.control())
            for name, text in self.scripts.items():
                (tree / "DEBIAN" / name).write_text(f"#!/bin/sh\n{text}\n")
                (tree / "DEBIAN" / name).chmod(0o755)
            for name, content in self.files.items():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).write_bytes(content)
            _run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(path))
        if self.data is not None:
            _exchange(path, self.data)
        return path

    def control(self) -> str:
        """Its paragraph."""
        depends = f"Depends: {self.depends}\n" if self.depends else ""
        about = f"Package: {self.name}\nVersion: {self.version}\nArchitecture: all\n{depends}"
        return f"{about}Maintainer: Nobody <nobody@perijove.example>\nDescription: for tests\n"


class AptRepository:
    """Below a folder, which anything may serve."""

    def __init__(self, root: Path, suite: str) -> None:
        self.root = root
        self.suite = suite
        self._home = Path(tempfile.mkdtemp(prefix="perijove-gpg-"))  # gpg-agent's socket has a short path
        self._gpg("--quick-generate-key", "Tests <tests@perijove.example>", "ed25519", "sign", "never")
        self.key = subprocess.run(
            self._words("--export"), check=True, capture_output=True, env=self._environ(), timeout=60
        ).stdout

    def publish(self, *debs: Deb) -> None:
        """These packages, in place of all others."""
        for deb in debs:
            deb.write(self.root / "pool")
        index = "".join(map(self._entry, debs))
        for suite, content in ((self.suite, index), (f"{self.suite}-updates", "")):
            self._sign(suite, content.encode())

    def close(self) -> None:
        """Its key is gone, and gpg's agent."""
        subprocess.run(["gpgconf", "--kill", "all"], check=False, env=self._environ(), timeout=60)
        shutil.rmtree(self._home, ignore_errors=True)

    def _entry(self, deb: Deb) -> str:
        path = self.root / "pool" / f"{deb.name}_{deb.version}_all.deb"
        content = path.read_bytes()
        where = f"Filename: pool/{path.name}\nSize: {len(content)}\n"
        return f"{deb.control()}{where}SHA256: {hashlib.sha256(content).hexdigest()}\n\n"

    def _sign(self, suite: str, packages: bytes) -> None:
        folder = self.root / "dists" / suite
        listed = folder / f"main/binary-{ARCHITECTURE}/Packages"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_bytes(packages)
        line = f" {hashlib.sha256(packages).hexdigest()} {len(packages)} {listed.relative_to(folder)}\n"
        about = f"Suite: {suite}\nCodename: {suite}\nDate: {formatdate(usegmt=True)}\n"
        release = folder / "Release"
        release.write_text(f"{about}Architectures: {ARCHITECTURE}\nComponents: main\nSHA256:\n{line}")
        self._gpg("--yes", "--clearsign", "--output", str(folder / "InRelease"), str(release))
        release.unlink()

    def _words(self, *words: str) -> tuple[str, ...]:
        return ("gpg", "--quiet", "--batch", "--pinentry-mode", "loopback", "--passphrase", "", *words)

    def _environ(self) -> dict[str, str]:
        return {**os.environ, "GNUPGHOME": str(self._home)}

    def _gpg(self, *words: str) -> None:
        _run(*self._words(*words), environ=self._environ())


def _exchange(path: Path, data: bytes) -> None:
    """Another data.tar, which is the last member of the archive (deb(5), ar(5))."""
    content = path.read_bytes()
    begins = content.index(b"data.tar.gz")
    header = f"{'data.tar':16}{0:<12}{0:<6}{0:<6}{'100644':8}{len(data):<10}`\n"
    path.write_bytes(content[:begins] + header.encode() + data + b"\n" * (len(data) % 2))


def _run(*words: str, environ: dict[str, str] | None = None) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=environ, timeout=60)
