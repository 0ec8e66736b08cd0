"""Has kernels forked that would be started otherwise. Runs inside the sandbox, in Perijove's own Jupyter server.

While a page of the server loads in a browser, or the session waits for a visitor, the environment's Python imports
ipykernel (`kernel_forker.py`); the kernels are then forked of it. Where that cannot be, a kernel is started as Jupyter
starts it, and the log says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import json
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import LocalProvisioner

NAME = "perijove-forked"
FORKER = Path(__file__).with_name("kernel_forker.py")
PLAIN = ("-m", "ipykernel_launcher", "-f")
"""Ends the command of the kernels that are forked, but for the connection file."""
PYTHON = ("/usr/bin/env", "python")
"""Begins it."""
USUAL = frozenset(("env", "cwd", "extra_arguments", "kernel_id"))
"""What Popen is told of every kernel."""
OWN = "JPY_SESSION_NAME"
"""The variable that differs from kernel to kernel."""
BINDER = "BINDER_"
"""Begins those that a session's server may be told after its start (`server_usage`)."""
IMPORTED_WITHIN = 20.0
"""Seconds for which a kernel waits for the imports: they began before it, so that it would not start sooner itself."""
FORKED_WITHIN = 5.0
LISTENS_WITHIN = 3.0
"""Seconds for which a forked kernel's sockets are waited for; it is told of then, whether they listen or not."""
PR_SET_CHILD_SUBREAPER = 36
BEFORE = "no page was opened before it"
UNUSED = "none was wanted for a while"


class NotForked(Exception):
    """Why a kernel is started, and whether later ones can be forked if all is imported again."""

    def __init__(self, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.again = again


class Forker:
    """The process that forks kernels: begun once a page has been answered, gone when it is of no use."""

    def __init__(self) -> None:
        self.log: Any = logging.getLogger(__name__)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._imported = asyncio.Event()
        self._one = asyncio.Lock()
        self._python: list[str] = []
        self._environ: dict[str, str] = {}
        self._why = BEFORE
        self._held = False
        self._told: set[str] = set()

    @property
    def unused(self) -> bool:
        """Whether there never was one, or it is the first."""
        return self._why == BEFORE

    @property
    def may_begin(self) -> bool:
        """Whether there is none, and the last one, if any, went for want of use."""
        return not self.runs and self._why in (BEFORE, UNUSED)

    @property
    def process(self) -> int | None:
        """Which one it is now."""
        return self._process.pid if self._process is not None else None

    @property
    def runs(self) -> bool:
        return self._socket is not None

    def begin(self, argv: Sequence[str], environ: Mapping[str, str], *, held: bool = False) -> None:
        """Start it for the kernels of a kernelspec's command, where it can fork these; `held`: until it is `wanted`."""
        self._held = held
        self._python = list(argv[:-4])
        self._environ = {**environ, "JPY_PARENT_PID": str(os.getpid())}
        self._environ.pop(OWN, None)
        try:
            self._python_of([*argv])
            self._start()
        except (NotForked, OSError) as error:
            self._over(str(error))

    def wanted(self) -> None:
        """Somebody has the session now, so that it may be of no use some day."""
        if self._held and self._socket is not None:
            self._held = False
            with contextlib.suppress(OSError):  # it has just ended, which is heard
                self._socket.send(b"{}")

    def begin_again(self) -> None:
        """Start another one, for packages as they are now."""
        self._over("packages have changed")
        self.begin([*self._python, *PLAIN, ""], self._environ)

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [*self._python, str(FORKER), str(theirs.fileno()), *(["held"] if self._held else [])]
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                env=self._environ,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        assert self._process.stdin is not None
        self._process.stdin.close()
        ours.setblocking(False)
        self._socket = ours
        self._imported.clear()
        asyncio.get_running_loop().add_reader(ours, self._hear)

    def _hear(self) -> None:
        """It is ready, it says why it cannot be, or it has ended."""
        assert self._socket is not None
        try:
            data = self._socket.recv(65536)
        except OSError:
            data = b""
        if data and "refused" not in (said := json.loads(data)):
            self._imported.set()
        elif data:
            self._over(f"what a kernel needs could not be imported ahead of it: {said['refused']}")
        else:
            self._over("")

    def _over(self, why: str) -> None:
        """End it, unless it has ended: then its exit status says why."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._process is not None:
            if why:
                self._process.kill()
            status = self._process.wait()
            why = why or (f"what forked kernels ended with exit status {status}" if status else UNUSED)
            self._process = None
        self._why = why
        self._imported.set()

    def _python_of(self, command: Sequence[str]) -> None:
        """Raises NotForked where the command is not the plain one, or is another Python's."""
        python, plain = list(command[:-4]), tuple(command[-4:-1])
        options = python[len(PYTHON) :]
        if plain != PLAIN or tuple(python[: len(PYTHON)]) != PYTHON or not all(one[:2] == "-X" for one in options):
            raise NotForked("its command is not the usual one")
        if python != self._python:
            raise NotForked("its Python or the options of it are others")
        if any(not os.path.isabs(path) for path in self._environ.get("PYTHONPATH", "/").split(":")):
            raise NotForked("PYTHONPATH is not absolute")

    async def fork(self, command: Sequence[str], environ: Mapping[str, str], cwd: str, options: set[str]) -> Forked:
        """A kernel as it would be started. Raises NotForked."""
        if options:
            raise NotForked(f"it is started with {', '.join(sorted(options))}")
        self._python_of(command)
        told = self._told_later(environ)
        said = await self._order({"cwd": os.path.abspath(cwd), "arguments": list(command[-2:]), "environ": told})
        return Forked(int(said["pid"]), command[-2:])

    async def unchanged(self, environ: Mapping[str, str], cwd: str) -> dict[str, str]:
        """What a kernel that was forked before has to be told to be as one that is forked now. Raises NotForked."""
        told = self._told_later(environ)
        try:
            await self._order({"cwd": os.path.abspath(cwd)})
        except NotForked as why:
            if why.again:
                self.begin_again()
            raise
        return told

    def _told_later(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Of a kernel's variables those that what forks it need not have. Raises NotForked where others differ."""
        own, same = (
            {name: value for name, value in one.items() if not _is_told(name)} for one in (environ, self._environ)
        )
        if own != same:
            names = sorted(name for name, _ in own.items() ^ same.items())
            raise NotForked(f"its variables are others: {', '.join(dict.fromkeys(names))}"[:500])
        return {name: value for name, value in environ.items() if name == OWN or name.startswith(BINDER)}

    async def imported(self) -> None:
        """Wait until it can fork. Raises NotForked where that takes long, or it cannot."""
        try:
            async with asyncio.timeout(IMPORTED_WITHIN):
                await self._imported.wait()
        except TimeoutError as error:
            raise NotForked("what it needs is still being imported") from error
        if self._socket is None:
            raise NotForked(self._why)

    async def _order(self, order: Mapping[str, Any]) -> dict[str, Any]:
        await self.imported()
        async with self._one:
            if self._socket is None:
                raise NotForked(self._why)
            return await asyncio.to_thread(self._ask, self._socket, order)

    def _ask(self, forker: socket.socket, order: Mapping[str, Any]) -> dict[str, Any]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(FORKED_WITHIN)
        libc = ctypes.CDLL(None)
        with ours, theirs:
            # Whoever forks it ends: it is our child then, as one that we start.
            libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            try:
                socket.send_fds(forker, [json.dumps(order).encode()], [theirs.fileno()])
                theirs.close()
                said: dict[str, Any] = json.loads(ours.recv(65536) or b'{"refused": "what forks it has ended"}')
                if "refused" in said:
                    raise NotForked(said["refused"], again=said.get("again", False))
                if "pid" in said:
                    ours.send(b".")
            except OSError as error:
                raise NotForked(f"what forks it does not answer: {error}") from error
            finally:
                libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        return said

    def tell(self, why: str) -> None:
        """Say once why kernels are started."""
        if why not in self._told and len(self._told) < 20:
            self._told.add(why)
            self.log.info("A kernel is started and not forked: %s", why)


class Forked:
    """A forked kernel, as a subprocess.Popen of one that was started: this process's child."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, arguments: Sequence[str]) -> None:
        self.pid = pid
        self.args = list(arguments)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status as Popen has it; None while it runs."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                self.returncode = 0  # as Popen has it where somebody else has waited
            else:
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The same, once it has ended. Raises subprocess.TimeoutExpired."""
        ends = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if ends is not None and time.monotonic() > ends:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            time.sleep(0.01)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing where it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


async def listens(connection: Mapping[str, Any], kernel: Forked) -> None:
    """Wait until a kernel listens on the last socket that it binds.

    Whoever connects before has connections that are tried again one by one, 100 ms apart (zmq_setsockopt(3),
    ZMQ_RECONNECT_IVL): what the kernel publishes first is lost then, and jupyter_server asks anew after half a second
    (`nudge` in services/kernels/connection/channels.py, 2.21).
    """
    host, port = str(connection["ip"]), int(connection["hb_port"])
    ends = time.monotonic() + LISTENS_WITHIN
    while kernel.poll() is None and time.monotonic() < ends:
        try:
            if connection["transport"] == "ipc":
                _, writer = await asyncio.open_unix_connection(f"{host}-{port}")
            else:
                _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.005)
        else:
            writer.close()
            return


def _is_told(name: str) -> bool:
    """Whether a variable need not be the same in what forks a kernel: it is told of it, or goes without."""
    return name in (OWN, "JPY_PARENT_PID") or name.startswith(BINDER)


forker = Forker()


class Provisioner(LocalProvisioner):  # type: ignore[misc]
    """Forks what can be forked, and starts the rest as its parent does."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """The kernel's connection. Raises what Popen raises."""
        forker.log = self.log
        environ, cwd = kwargs.get("env") or os.environ, kwargs.get("cwd") or os.getcwd()
        try:
            self.process = await forker.fork(cmd, environ, str(cwd), set(kwargs) - USUAL)
        except NotForked as why:
            forker.tell(str(why))
            connection = await super().launch_kernel(cmd, **kwargs)
            if why.again:
                forker.begin_again()
            return connection
        self.pid = self.pgid = self.process.pid
        self.cwd = cwd
        await listens(self.connection_info, self.process)
        return self.connection_info


def begin_with_pages(*, held: bool) -> None:
    """Begin once a page has been answered: its scripts load for a while before it asks for a kernel.

    `held`: the session has no visitor yet. Begin once anything was answered, which only the service can ask for.
    """
    application = importlib.import_module("tornado.web").Application
    log_request = application.log_request

    def answered(self: Any, handler: Any) -> None:
        log_request(self, handler)
        page = handler.request.method == "GET" and "text/html" in handler.request.headers.get("Accept", "")
        if handler.get_status() != 200:
            return
        if page:
            forker.wanted()
        if forker.may_begin and (page or (held and forker.unused)):
            begin(handler.settings, held=not page)

    application.log_request = answered


def begin(settings: Mapping[str, Any], *, held: bool) -> None:
    """Begin for the kernel that pages ask for, where there is one."""
    specs, kernels = settings["kernel_spec_manager"], settings["kernel_manager"]
    forker.log = kernels.log
    try:
        spec = specs.get_kernel_spec(kernels.default_kernel_name)
    except Exception as error:  # noqa: BLE001 - there is none, or whatever a repository wrote there
        forker.tell(f"its description cannot be read: {error}")
        return
    forker.begin(spec.argv, {**os.environ, **spec.env}, held=held)
    if held and forker.runs:
        importlib.import_module("spare_kernel").SpareKernel(kernels, specs, forker)
