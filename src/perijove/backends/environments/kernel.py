"""What an installed environment is served by, and the files that make its kernel known. Synchronous."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from perijove import durable
from perijove.domain.build_inputs import Interpreter

MARK = "perijove-cpython-"
"""Begins the name of what says, within a package in uv's cache, that it is compiled."""
SERVERS = frozenset(
    ("jupyter-server", "jupyterlab", "notebook", "nbclassic", "voila", "jupyter-server-proxy", "nbgitpuller")
)
"""Packages that mean: this repository brings its own server."""
OLDEST = {"jupyterlab": (3,), "notebook": (6, 4), "jupyter-server": (1, 4)}
"""Versions from which on the launcher can run them."""
PYTHON = ("/usr/bin/env", "python")
"""The first on PATH: the environment's, never the one that its server runs on."""


def brings_server(environment: Path, site_packages: Path) -> bool:
    """Whether it has a server or an extension of one."""
    if installed(site_packages) & SERVERS:
        return True
    folders = ("jupyter_server_config.d", "jupyter_notebook_config.d")
    return any(any((environment / "etc" / "jupyter" / folder).glob("*.json")) for folder in folders)


def installed(site_packages: Path) -> frozenset[str]:
    """Names of installed packages, normalized."""
    return frozenset(
        re.sub(r"[-_.]+", "-", path.name.partition("-")[0]).lower() for path in site_packages.glob("*.dist-info")
    )


def too_old(site_packages: Path) -> str:
    """Which package of a server is older than the launcher can run, with its version, or ``."""
    for path in sorted(site_packages.glob("*.dist-info")):
        name, _, version = path.name.removesuffix(".dist-info").partition("-")
        name = re.sub(r"[-_.]+", "-", name).lower()
        release = tuple(int(part) for part in re.findall(r"\d{1,9}", version)[:2])
        if name in OLDEST and release and release < OLDEST[name]:
            return f"{name} {version}"
    return ""


def versions(site_packages: Path) -> list[str]:
    """What is installed, each with its version, as constraints; but for what pip has installed over conda's."""
    found: dict[str, list[str]] = {}
    for path in site_packages.glob("*.dist-info"):
        name, _, version = path.name.removesuffix(".dist-info").partition("-")
        if re.fullmatch(r"[A-Za-z0-9._]+", name) and re.fullmatch(r"\d[A-Za-z0-9.!+_]*", version):
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), []).append(version)
    return sorted(f"{name}=={several[0]}" for name, several in found.items() if len(several) == 1)


def app(site_packages: Path) -> str:
    """Which of serve.py's apps to start an environment of its own server with."""
    names = installed(site_packages)
    return "lab" if "jupyterlab" in names else "server"


def finish(environment: Path, site_packages: Path, interpreter: Interpreter) -> None:
    """Write the kernel's description, and leave to pip no file of ours that it would not remove with a package."""
    marks = list(site_packages.glob(f"*.dist-info/{MARK}*"))
    for mark in marks:
        mark.unlink()
    if {mark.name for mark in marks} - {f"{MARK}{interpreter.minor}"}:
        _drop_bytecode_of_others(site_packages, f".cpython-{interpreter.minor.replace('.', '')}.")
    kernels = environment / "share" / "jupyter" / "kernels"
    folder = kernels / "python3"
    folder.mkdir(parents=True, exist_ok=True)
    described = folder / "kernel.json"
    durable.remove(described)  # never written through
    kernel = {
        # The first python on PATH, which is the environment's.
        "argv": [
            *PYTHON,
            "-Xfrozen_modules=off",
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
        ],
        "display_name": f"Python {interpreter.minor}",
        "language": "python",
        "metadata": {"debugger": True},
    }
    described.write_text(json.dumps(kernel, indent=1))
    written = [described, *(path for path in sorted(kernels.glob("*/kernel.json")) if _with_own_python(path))]
    for file in written:  # sessions run as another user, whatever umask this service was started with
        file.chmod(0o644)


def _drop_bytecode_of_others(site_packages: Path, tag: str) -> None:
    """What uv's cache holds for other Pythons: pip would leave it, and so an empty module where a package was."""
    for folder, _, names in os.walk(site_packages):
        if os.path.basename(folder) == "__pycache__":
            for name in names:
                if re.search(r"\.cpython-\d+\..*pyc$", name) and tag not in name:
                    os.unlink(os.path.join(folder, name))


def _with_own_python(described: Path) -> bool:
    """Have a kernel that asks for a `python` run with its environment's: Jupyter would take its server's."""
    try:
        kernel = json.loads(described.read_bytes())
        first = kernel["argv"][0]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False  # no kernel: Jupyter says so of it
    if not isinstance(first, str) or not re.fullmatch(r"(?:.*/)?python(?:\d+(?:\.\d+)?)?", first):
        return False
    kernel["argv"] = [*PYTHON, *kernel["argv"][1:]]
    described.unlink()  # a hardlink into uv's cache
    described.write_text(json.dumps(kernel, indent=1))
    return True
