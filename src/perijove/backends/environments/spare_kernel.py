"""A kernel that runs before anybody asks for one. Runs inside the sandbox, in Perijove's own Jupyter server.

A session that is held ready has one. Whoever asks for its first kernel gets it; nobody sees it before. Where it is not
what they would get otherwise it ends, and theirs is made as ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perijove.backends.environments.kernel_provisioner import Forker

RUNS_WITHIN = 20.0
"""Seconds for a line of code in a kernel that does nothing else: one that is made instead would not be sooner."""
WARM = "get_ipython().display_formatter.format(1)"
"""What it runs first: the first line of all, and the first value that is shown, take IPython some milliseconds more."""
NAME = "JPY_SESSION_NAME"
"""The variable that ipykernel also has as `__session__` (`IPythonKernel.__init__`, 7.4)."""


class SpareKernel:
    """One server's; of no more use once somebody has asked for a kernel."""

    def __init__(self, kernels: Any, specs: Any, forker: Forker) -> None:
        """Begin it, as a task of its own."""
        self._kernels = kernels
        self._specs = specs
        self._forker = forker
        self._id = str(uuid.uuid4())
        self._name = kernels.default_kernel_name
        self._spec = self._described()
        self._environ = dict(os.environ)
        self._folder = kernels.cwd_for_path("")
        self._settings = _settings(self._folder)
        self._start, self._list = kernels.start_kernel, kernels.list_kernels
        kernels.start_kernel, kernels.list_kernels = self.start_kernel, self.list_kernels
        self._forked_by = forker.process
        self._begun = asyncio.create_task(self._begin(), name="spare kernel")

    def _described(self) -> dict[str, Any]:
        return dict(self._specs.get_kernel_spec(self._name).to_dict())

    async def _begin(self) -> bool:
        """Whether it runs."""
        try:
            await self._forker.imported()
            await self._start(kernel_id=self._id, kernel_name=self._name, path="", env=self._environ)
            await self._run(WARM)
        except Exception as error:  # noqa: BLE001 - whatever a repository has set up: kernels are made as ever
            self._kernels.log.info("No kernel is held ready: %s", error)
            return False
        return True

    def list_kernels(self) -> list[dict[str, Any]]:
        """All others."""
        return [kernel for kernel in self._list() if kernel["id"] != self._id]

    async def start_kernel(self, **asked: Any) -> str:
        """The id of a kernel. Raises what the manager's own does."""
        self._kernels.start_kernel = self._start
        fits = await self._begun and await self._fits(**asked)
        if not fits and self._id in self._kernels:
            await self._kernels.shutdown_kernel(self._id, now=True)
        spare, self._id = self._id, ""
        return spare if fits else str(await self._start(**asked))

    async def _fits(
        self,
        kernel_id: str | None = None,
        kernel_name: str | None = None,
        path: str | None = None,
        env: dict[str, str] | None = None,
        **others: Any,
    ) -> bool:
        """Whether it is what is asked for, once it is told what it could not know."""
        folder = os.getcwd() if path is None else self._kernels.cwd_for_path(path)
        if self._forker.process != self._forked_by:  # packages may have changed between the two
            return False
        if kernel_id or others or kernel_name not in (None, self._name) or folder != self._folder:
            return False
        try:
            if self._described() != self._spec or _settings(folder) != self._settings:
                return False
            told = await self._forker.unchanged({**(env or os.environ), **self._spec["env"]}, folder)
            told = {name: value for name, value in told.items() if self._environ.get(name) != value}
            if told:
                self._kernels.update_env(kernel_id=self._id, env=told)
                await self._run(_telling(told))
        except Exception as error:  # noqa: BLE001 - as above
            self._kernels.log.info("The kernel that was held ready is not taken: %s", error)
            return False
        return self._id in self._kernels

    async def _run(self, code: str) -> None:
        """Run it unseen. Raises RuntimeError where it fails, TimeoutError."""
        kernel = self._kernels.get_kernel(self._id)
        shell, session = kernel.connect_shell(), kernel.session
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        shell.on_recv(answer.set_result)
        content = {"code": code, "silent": True, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        try:
            session.send(shell, "execute_request", content)
            async with asyncio.timeout(RUNS_WITHIN):
                _, parts = session.feed_identities(await answer)
        finally:
            shell.close()
        said = session.deserialize(parts)["content"]
        if said["status"] != "ok":
            raise RuntimeError(str(said)[:500])


def _settings(folder: str) -> dict[str, int]:
    """What a kernel reads in its folder and its profile as it starts (`config_file_paths`, `_run_startup_files` of
    IPython 9.15), and when each was written."""
    profile = os.path.join(os.environ.get("IPYTHONDIR") or os.path.expanduser("~/.ipython"), "profile_default")
    found = {}
    for place in (folder, profile, os.path.join(profile, "startup")):
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith("ipython") or (place.endswith("startup") and entry.name != "README"):
                    found[entry.path] = entry.stat(follow_symlinks=False).st_mtime_ns
    return found


def _telling(variables: dict[str, str]) -> str:
    """Code after which a kernel is as if it had been started with them."""
    code = f"__import__('os').environ.update({variables!r})"
    return f"{code}\n__session__ = {variables[NAME]!r}" if NAME in variables else code
