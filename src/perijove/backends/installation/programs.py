"""The programs: an environment a release, and a link to the one that runs. In: a source. Out: a folder. Acts."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from importlib.metadata import Distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psutil
from uv import find_uv_bin

from perijove import durable
from perijove.backends.installation.carrying_out import run
from perijove.backends.installation.steps import Place

OLDEST = (3, 11)
PREFIX = Path("/opt/perijove")
"""Where Perijove is in an image of its own."""
USUAL = Path("/usr/bin")
"""Where a Python is that every user of the machine can run."""


def source() -> str:
    """What the Perijove that runs was installed from: a folder, an archive, or its name in a package index."""
    told = Distribution.from_name("perijove")
    url = urlsplit(json.loads(told.read_text("direct_url.json") or "{}").get("url", ""))
    path = Path(unquote(url.path))
    return str(path) if url.scheme == "file" and path.exists() else f"perijove=={told.version}"


def python() -> str:
    """The newest of the system's that Perijove runs on; else the one that runs this."""
    for path in sorted(USUAL.glob("python3.*[0-9]"), key=lambda one: int(one.name.partition(".")[2]), reverse=True):
        minor = int(path.name.partition(".")[2])
        if (3, minor) >= OLDEST and _has_venv(path):
            return str(path)
    return str(Path(sys.executable).resolve())


def _has_venv(path: Path) -> bool:
    """Whether it starts and has its standard library."""
    done = subprocess.run([path, "-c", "import ssl, sqlite3, venv"], capture_output=True, timeout=20, check=False)
    return done.returncode == 0


def release(place: Place, what: str, by: str) -> Path:
    """Install a release beside those that are there; its folder. Nothing that runs is touched.

    Raises Fail: `platform.installation-failed`, `platform.disk-full`, `platform.state-unusable`.
    """
    folder = place(place.releases) / time.strftime(f"%Y%m%dT%H%M%S-{os.getpid()}")
    with durable.told(folder):
        folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        uv, asked = find_uv_bin(), ["--compile-bytecode", "--python", str(folder / "bin" / "python")]
        try:
            run([uv, "venv", "--quiet", "--no-python-downloads", "--python", by, str(folder)])
            lock = Path(what) / "requirements.lock"
            if lock.is_file():
                run([uv, "pip", "install", "--quiet", *asked, "--require-hashes", "-r", str(lock)])
            run([uv, "pip", "install", "--quiet", *asked, *(("--no-deps",) if lock.is_file() else ()), what])
            run([str(folder / "bin" / "perijove"), "--version"])
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder


def tree(folder: Path, what: str, by: Path, version: str) -> None:
    """Install Perijove as a virtual environment that is made for `PREFIX` of another system, whose Python is `by`.

    That Python need not be here: what is installed are wheels for its version. Raises Fail as `release`.
    """
    site = folder / "lib" / f"python{'.'.join(version.split('.')[:2])}" / "site-packages"
    machine = f"{platform.machine()}-unknown-linux-gnu"
    asked = ["--quiet", "--target", str(site), "--python-version", version, "--python-platform", machine]
    lock = Path(what) / "requirements.lock"
    with durable.told(folder):
        site.mkdir(parents=True)
        pip = [find_uv_bin(), "pip", "install", *asked]
        if lock.is_file():
            run([*pip, "--no-build", "--require-hashes", "-r", str(lock)])
        run([*pip, *(("--no-deps",) if lock.is_file() else ()), what])
        (site / "bin").rename(folder / "bin")
        for script in (folder / "bin").iterdir():
            with script.open("rb") as opened:
                if opened.read(2) == b"#!":  # by this machine's Python
                    script.unlink()
        (folder / "bin" / "python").symlink_to(by)
        (folder / "pyvenv.cfg").write_text(f"home = {by.parent}\nversion = {version}\n")
        command = folder / "bin" / "perijove"
        command.write_text(f"#!{PREFIX}/bin/python\nfrom perijove.cli.main import main\n\nmain()\n")
        command.chmod(0o755)


def put_in_place(place: Place, folder: Path) -> None:
    """Have the link lead to it, from one moment to the next; a folder that was there is kept as a release."""
    prefix = place(place.prefix)
    with durable.told(prefix):
        if prefix.is_dir() and not prefix.is_symlink():
            prefix.rename(folder.with_name(f"{folder.name}-before"))
        durable.link(prefix, os.path.relpath(folder, prefix.parent))


def sweep(place: Place) -> list[Path]:
    """Remove releases that neither the link leads to, nor a process runs from, nor are the one before; which."""
    current = place(place.prefix).resolve()
    others = sorted(path for path in place(place.releases).iterdir() if path != current)
    used = {path for path in others if _is_run(path)}
    gone = [path for path in others[:-1] if path not in used]
    for path in gone:
        shutil.rmtree(path)
    return gone


def _is_run(folder: Path) -> bool:
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if any(word.startswith(f"{folder}/") for word in words):
            return True
    return False
