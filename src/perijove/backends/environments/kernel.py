"""What an installed environment is served by, and the files that make its kernel known. Synchronous."""

from __future__ import annotations

import json
import re
from pathlib import Path

from perijove.backends.environments.store import clear
from perijove.domain.build_inputs import Interpreter
from perijove.launching.start.sandbox import HOME

SERVERS = frozenset(
    ("jupyter-server", "jupyterlab", "notebook", "nbclassic", "voila", "jupyter-server-proxy", "nbgitpuller")
)
"""Packages that mean: this repository brings its own server."""
OWN = f"{HOME}/.local/env"
"""The session's own environment, which serve.py lays over the read-only one: what pip installs goes there."""
OWN_PACKAGES = "perijove-own.pth"
"""Shows what is installed there to the read-only environment's own programs as well, and first."""


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


def app(site_packages: Path) -> str:
    """Which of serve.py's apps to start an environment of its own server with."""
    names = installed(site_packages)
    return "lab" if "jupyterlab" in names else "server"


def finish(environment: Path, site_packages: Path, interpreter: Interpreter) -> None:
    """Write the kernel's description, and the path to what a session installs."""
    folder = environment / "share" / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True, exist_ok=True)
    described = folder / "kernel.json"
    path = site_packages / OWN_PACKAGES
    for ours in (described, path):
        clear(ours)  # never written through
    kernel = {
        # The first python on PATH, which is the session's own.
        "argv": [
            "/usr/bin/env",
            "python",
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
    own = f"{OWN}/lib/python{interpreter.minor}/site-packages"
    path.write_text(f"import sys; {own!r} in sys.path or sys.path.insert(len(sys.path) - 1, {own!r})\n")
    # Sessions run as another user, whatever umask this service was started with.
    for file in (described, path):
        file.chmod(0o644)
