"""Imports what a Python kernel imports, and forks kernels. Runs inside the sandbox, by the environment's own Python.

`kernel_forker.py FD [held]`: descriptor FD is a Unix socket that keeps messages apart. It says `{}` once all is
imported, or why it cannot fork: `{"refused": why}`. Each order then comes with a socket of its own, by which the kernel
says its process id and starts at the answer; an end of file there means that nobody waits for it any more. An order
without arguments asks whether a kernel that was forked before is still as one that is forked now. `held`: it waits for
ever until it first hears something, which may be an empty message.
The standard library only, Python 3.6 or newer.
"""

import sys

SAFE_PATH = getattr(sys.flags, "safe_path", False)
if __name__ == "__main__" and not SAFE_PATH:
    del sys.path[0]  # this file's folder: `python -m` has none

import array  # noqa: E402
import gc  # noqa: E402
import importlib.machinery  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import runpy  # noqa: E402
import select  # noqa: E402
import site  # noqa: E402
import socket  # noqa: E402
from pathlib import Path  # noqa: E402, F401 - as the launcher does
from typing import Any  # noqa: E402

LAUNCHER = "ipykernel_launcher"
LATER = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.history",
    "IPython.core.oinspect",
    "tornado.platform.asyncio",
    "tornado.queues",
    "sqlite3",
    "psutil",
    "encodings.idna",
    "pydoc",
    "faulthandler",
)
"""What kernels import before the repository's folder comes into their path; the one or other is not in all versions."""
UNUSED = 120.0
"""Seconds without an order after which it ends: beside one kernel it takes 17 MB, without one 50."""


class Stale(Exception):
    """What was imported is no longer what a started kernel would import."""


def preload() -> None:
    """Import what a kernel does. Raises ImportError where there is no ipykernel, RuntimeError for a second thread."""
    gc.disable()  # or its marks make the pages of each kernel its own
    importlib.import_module(LATER[0])
    for name in LATER[1:]:
        try:
            importlib.import_module(name)
        except ImportError:  # an older ipykernel, or an environment without debugpy
            continue
    if hasattr(gc, "freeze"):
        gc.freeze()
    alone()


def alone() -> None:
    """Raises RuntimeError where there is another thread: what it holds would be held for ever in a fork."""
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("what a kernel imports has started a thread")


def looked() -> "dict[str, Any]":
    """All files and folders that imports came from, and whether they are still the same: pip may have been here."""
    # As it stands there: a module that loads itself at the first question is not to be asked.
    files = [getattr(module, "__dict__", {}).get("__file__") for module in list(sys.modules.values())]
    found = {}  # type: dict[str, Any]
    for path in [*files, *sys.path, site.getusersitepackages()]:
        if isinstance(path, str):
            try:
                facts = os.stat(path)
                found[path] = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
            except OSError:
                found[path] = None
    return found


def hidden_by(folder: str) -> str:
    """What in a folder a started kernel may import in place of a module that is imported here, or ``."""
    names = {name.partition(".")[0] for name in sys.modules} | {LAUNCHER}
    suffixes = importlib.machinery.all_suffixes()
    for name in os.listdir(folder):
        stem, dot, rest = name.partition(".")
        if stem in names and (dot + rest in suffixes if dot else is_package(os.path.join(folder, name), suffixes)):
            return name
    return ""


def is_package(path: str, suffixes: "list[str]") -> bool:
    """Whether a folder is more than a part of a namespace, which comes after all other modules of its name."""
    return any(os.path.exists(os.path.join(path, "__init__" + suffix)) for suffix in suffixes)


def serve(server: socket.socket, held: bool, seen: "dict[str, Any]") -> None:
    """Fork a kernel for each order, until the server is gone or wants none."""
    while select.select([server], [], [], None if held else UNUSED)[0]:
        data, ancillary, _, _ = server.recvmsg(65536, socket.CMSG_SPACE(array.array("i").itemsize))
        if not data:
            return
        held = False
        if data == b"{}":  # its session is somebody's now
            continue
        descriptors = array.array("i")
        for _, _, part in ancillary:
            descriptors.frombytes(part)
        with socket.socket(fileno=descriptors[0]) as asking:
            try:
                fork(json.loads(data.decode()), server, asking, seen)
            except Exception as error:  # noqa: BLE001 - told, and a kernel is started instead
                say(asking, {"refused": str(error) or type(error).__name__, "again": isinstance(error, Stale)})
                return


def fork(order: "dict[str, Any]", server: socket.socket, asking: socket.socket, seen: "dict[str, Any]") -> None:
    """A kernel that is the server's child, since whoever forks it ends at once. Raises Stale, RuntimeError."""
    alone()
    hidden = hidden_by(order["cwd"])
    if hidden:
        say(asking, {"refused": f"{hidden} would be imported in place of Python's or a package's"})
        return
    if looked() != seen:
        raise Stale("packages have changed since they were imported")
    if "arguments" not in order:
        say(asking, {})
        return
    waits, goes = os.pipe()
    between = os.fork()
    if not between:
        if os.fork():
            os._exit(0)
        os.close(goes)
        os.read(waits, 1)  # until whoever forked it has ended and is waited for
        os.close(waits)
        server.close()
        become_kernel(order, asking)
    os.close(waits)
    os.waitpid(between, 0)
    os.close(goes)


def become_kernel(order: "dict[str, Any]", asking: socket.socket) -> None:
    """Be what `python -m ipykernel_launcher` would be."""
    try:
        os.setsid()
        os.chdir(order["cwd"])
        ours = str(os.getppid()) == os.environ["JPY_PARENT_PID"]
        say(asking, {"pid": os.getpid()} if ours else {"refused": "the kernel would be no child of the server's"})
        if not asking.recv(1):
            os._exit(1)
        asking.close()
    except Exception as error:  # noqa: BLE001 - told, and a kernel is started instead
        say(asking, {"refused": str(error)})
        os._exit(1)
    for name, value in order["environ"].items():
        os.environ[name] = value
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[-2:] = ["-m", LAUNCHER, *order["arguments"]]
    sys.argv[:] = [sys.argv[0], *order["arguments"]]
    reseed()
    gc.enable()
    if not SAFE_PATH:
        sys.path.insert(0, os.getcwd() if sys.version_info >= (3, 7) else "")
    runpy.run_module(LAUNCHER, run_name="__main__", alter_sys=True)
    sys.exit()


def reseed() -> None:
    """Give each kernel random numbers of its own."""
    for name in ("random", "numpy.random"):
        if name in sys.modules:
            sys.modules[name].seed()
    if "multiprocessing.process" in sys.modules:
        process = sys.modules["multiprocessing.process"]
        process.current_process().authkey = os.urandom(32)


def say(to: socket.socket, message: "dict[str, Any]") -> None:
    """Tell the server, which may be gone."""
    try:
        to.send(json.dumps(message).encode())
    except OSError:
        os._exit(1)


def main() -> None:
    server = socket.socket(fileno=int(sys.argv[1]))
    server.set_inheritable(False)
    try:
        preload()
        seen = looked()
    except Exception as error:  # noqa: BLE001 - whatever a package does as it is imported, kernels are started instead
        say(server, {"refused": f"{type(error).__name__}: {error}"})
        return
    say(server, {})
    serve(server, sys.argv[2:] == ["held"], seen)
    os._exit(0)


if __name__ == "__main__":
    main()
