"""Perijove's own Jupyter server: its environment, its launcher, and how an environment is served by it."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from perijove.backends.environments.bytecode import Bytecode
from perijove.backends.environments.interpreters import HOST, Standing
from perijove.backends.environments.uv import Complaint, Uv
from perijove.domain.build_inputs import Interpreter
from perijove.domain.failures import Fail
from perijove.domain.ports import Tell
from perijove.domain.state import State
from perijove.launching.start.sandbox import HOME

HERE = Path(__file__).parent
LOCK = HERE / "server.lock"
CONFIG = {
    # JupyterLab asks the network for news otherwise.
    "labconfig/default_setting_overrides.json": {
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
    },
}
"""Jupyter's configuration files, by their path below a folder of `JUPYTER_CONFIG_PATH`."""
PAGE_SCRIPT = (HERE / "page.js").read_bytes()
SCRIPT = f"static/page.{hashlib.sha256(PAGE_SCRIPT).hexdigest()[:16]}.js"
EXTENSION = {
    "name": "perijove",
    "version": "0.1.0",
    "jupyterlab": {
        "_build": {"load": SCRIPT, "extension": "./extension"},
        # Ours stands in its place.
        "disabledExtensions": ["@jupyterlab/hub-extension:connectionlost"],
    },
}
"""What JupyterLab and Notebook are told of `page.js`, as `package.json` of a prebuilt extension."""

UNASKED = (
    "@jupyterlab/lsp-extension",
    *(f"@jupyterlab/{one}-extension:language-server" for one in ("notebook", "fileeditor")),
)
PAGE = {"disabledExtensions": dict.fromkeys(UNASKED, True)}
"""Of our own server's pages: they would ask for language servers, of which `SHARED` has none."""
STATIC = ("share/jupyter/lab/static", "lib/python*/site-packages/notebook/static")
"""Where our own server has what its pages load: named by content, but for licenses and Lab's page itself."""
SQUEEZED = (".js", ".svg", ".json", ".css", ".eot", ".ttf")
"""What is worth compressing."""
RUN = ("serve.py", "server_usage.py", "running.py", "kernel_provisioner.py", "spare_kernel.py", "kernel_forker.py")
"""Programs of ours that sandboxes run."""
REFUSED = """#!/bin/sh
echo "${0##*/}: a session has no rights of root, and its system cannot be changed." >&2
echo "Packages of the system are named in apt.txt, one a line; pip install works here, for this session." >&2
exit 1
"""
"""What root's programs come to in a session."""
NOTEBOOK = ("notebooks", "tree", "edit", "consoles", "terminals")
"""Begins the addresses of Notebook's pages; all others are Lab's."""
OPTIONS = (
    "--ServerApp.open_browser=False",
    # A label: the socket is inherited, and nothing is made there.
    "--ServerApp.sock=/tmp/perijove.sock",
    "--ServerApp.allow_root=True",
    # What configurations of old say of a server that has an address of its own.
    "--ServerApp.port=8888",
    "--ServerApp.certfile=",
    "--ServerApp.keyfile=",
)
SHARED = "--ServerApp.jpserver_extensions={'notebook_shim': False, 'jupyter_lsp': False}"
"""Extensions of ours that nobody needs: 50 ms of a start."""


class Server:
    """The shared server environment in the store's tools, and the launcher beside it."""

    def __init__(self, state: State, uv: Uv, bytecode: Bytecode) -> None:
        self._bytecode = bytecode
        self._state = state
        self._uv = uv
        self._making = asyncio.Lock()
        self.lab_disabled: tuple[str, ...] = ()
        """Extensions that pages do without."""
        self.lock_hash = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]

    @property
    def launcher(self) -> Path:
        """A folder with our programs and their settings, named by their content."""
        settings = json.dumps([self._config, REFUSED, EXTENSION]).encode()
        content = b"".join((HERE / name).read_bytes() for name in RUN) + settings
        return self._state.tools / f"serve-{hashlib.sha256(content).hexdigest()[:16]}"

    @property
    def _config(self) -> dict[str, Any]:
        page = {"disabledExtensions": dict.fromkeys(self.lab_disabled, True)}
        return CONFIG | {"labconfig/page_config.json": page}

    def environment(self, interpreter: Interpreter) -> Path:
        """Where the server environment for this interpreter stands, or will."""
        python = (str(interpreter.executable), interpreter.version, interpreter.glibc)
        stamp = hashlib.sha256("\0".join((self.lock_hash, json.dumps([PAGE, STATIC]), *python)).encode())
        return self._state.tools / f"server-{stamp.hexdigest()[:16]}"

    async def prepare(self, interpreter: Interpreter, tell: Tell, standing: Standing = HOST) -> None:
        """Make what is not there yet; whoever comes meanwhile waits. Raises Fail: `build.*`."""
        async with self._making:
            if not self.launcher.exists():
                await asyncio.to_thread(self._write_launcher)
            if not self.environment(interpreter).exists():
                tell("Installing Perijove's own Jupyter server, once: a minute, more on a slow line")
                await self._make(self.environment(interpreter), interpreter, standing, tell)

    async def _make(self, path: Path, interpreter: Interpreter, standing: Standing, tell: Tell) -> None:
        async with self._uv.aside(path) as work:
            env, lock = work / "env", work / LOCK.name
            await asyncio.to_thread(shutil.copyfile, LOCK, lock)
            try:
                await self._uv.venv(env, interpreter, tell)
                options = ["--no-deps", "--require-hashes", "-r", str(lock)]
                await self._uv.install(env, interpreter, options, lambda line: tell_large(line, tell))
            except Complaint as complaint:
                raise Fail(complaint.meaning.failure) from complaint
            runs = await self._uv.interpreters.runs(interpreter, standing)
            packages = site_packages(env, interpreter)
            await self._bytecode.compiled(work, packages, interpreter, runs, "compile-server", tell)
            # A repository's kernel is the only one that may be offered.
            await asyncio.to_thread(shutil.rmtree, env / "share" / "jupyter" / "kernels", ignore_errors=True)
            await asyncio.to_thread(_configure, env, path.name)
            await asyncio.to_thread(_share_static, env)
            await self._uv.settle(env, interpreter)
            env.rename(path)

    def _write_launcher(self) -> None:
        aside = self.launcher.with_name(f".{self.launcher.name}.{os.getpid()}")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for name in RUN:
            (aside / name).write_bytes((HERE / name).read_bytes())
        (aside / "bin").mkdir()
        for name in ("apt", "apt-get", "sudo"):
            (aside / "bin" / name).write_text(REFUSED)
        for name, content in self._config.items():
            (aside / "config" / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / "config" / name).write_text(json.dumps(content, indent=1))
        extension = aside / "jupyter" / "labextensions" / "perijove"
        (extension / SCRIPT).parent.mkdir(parents=True)
        (extension / SCRIPT).write_bytes(PAGE_SCRIPT)
        (extension / "package.json").write_text(json.dumps(EXTENSION))
        for path in (aside, *aside.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        aside.rename(self.launcher)


def _configure(environment: Path, name: str) -> None:
    page = environment / "etc" / "jupyter" / "labconfig" / "page_config.json"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(json.dumps(PAGE | {"fullStaticUrl": f"/-/{name}"}, indent=1))
    for path in (page.parent, page):  # sessions run as another user, whatever umask this service was started with
        path.chmod(0o755 if path.is_dir() else 0o644)


def _share_static(environment: Path) -> None:
    """One folder of all that pages load, which the web server in front hands out for all sessions, compressed once."""
    shared = environment / "share" / "static"
    shared.mkdir()
    for folder in (folder for pattern in STATIC for folder in environment.glob(pattern)):
        for file in folder.iterdir():
            if file.is_file() and file.suffix != ".html" and not (shared / file.name).exists():
                os.link(file, shared / file.name)
    for file in list(shared.iterdir()):
        if file.suffix in SQUEEZED:
            small = shared / f"{file.name}.gz"
            small.write_bytes(gzip.compress(file.read_bytes(), mtime=0))
            small.chmod(0o644)
    shared.chmod(0o755)


def largest_script(server: Path, urlpath: str) -> str:
    """The address of half of all that a session's page at an `urlpath` loads from this server; `` where it has none.

    Its hash stands there twice (webpack's `[name].[contenthash].js?v=[contenthash]` of jupyterlab 4 and notebook 7).
    """
    application = "notebook" if urlpath.startswith(NOTEBOOK) else "jlab"
    for script in (server / "share" / "static").glob(f"{application}_core.*.js"):
        return f"/-/{server.name}/{script.name}?v={script.name.split('.')[1]}"
    return ""


def site_packages(environment: Path, interpreter: Interpreter) -> Path:
    """Where an environment's packages lie."""
    return environment / "lib" / f"python{interpreter.minor}" / "site-packages"


def command(server: Path, launcher: Path, app: str, *, shared: bool) -> tuple[str, ...]:
    """Starts the server of an environment; session options are appended."""
    extensions = (SHARED,) if shared else ()
    return (str(server / "bin" / "python"), "-I", str(launcher / "serve.py"), app, *OPTIONS, *extensions)


def environ(environment: Path, server: Path, launcher: Path) -> tuple[tuple[str, str], ...]:
    """What a server and its kernels need to find the repository's packages first."""
    bins = dict.fromkeys(
        (
            f"{environment}/bin",
            f"{HOME}/.local/bin",
            f"{launcher}/bin",
            f"{server}/bin",
            "/usr/local/bin",
            "/usr/bin",
            "/bin",
        )
    )
    return (
        ("PATH", ":".join(bins)),
        ("SHELL", "/bin/bash"),
        ("VIRTUAL_ENV", str(environment)),
        ("JUPYTER_PATH", f"{environment}/share/jupyter:{launcher}/jupyter"),
        # The repository's root as well: Jupyter read its working folder once, and repositories rely on it.
        ("JUPYTER_CONFIG_PATH", f"{launcher / 'config'}:{HOME}"),
        ("NB_PYTHON_PREFIX", str(environment)),
        ("KERNEL_PYTHON_PREFIX", str(environment)),
        ("CONDA_DIR", str(environment)),
        ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    )


def tell_large(line: str, tell: Tell) -> None:
    """Of what uv says no more than how far it is: what it downloads that takes long, and when all is there."""
    if line.startswith(("Downloading ", "Prepared ", "Installed ")):
        tell(line)
