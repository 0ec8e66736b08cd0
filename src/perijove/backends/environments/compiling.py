"""Compiles strangers' sources to bytecode, in a sandbox, on whatever Python their environment has (3.6 or newer).

`python -c <this> ROOT LIST RESULT`: LIST names files below ROOT, one a line; their bytecode is left below RESULT. Each
file has its own limits; one that does not compile within them is told and left out.
"""

import mmap
import os
import py_compile
import resource
import signal
import struct
import sys

MEMORY = 512 * 1024**2
SECONDS = 10
"""Of processor time, for one file."""
# Python 3.6 knows no other way.
BY_TIME = (py_compile.PycInvalidationMode.TIMESTAMP,) if hasattr(py_compile, "PycInvalidationMode") else ()
MOST_LEFT_OUT = 20
"""Files; then the rest is left out too."""


def work(files: "list[str]", root: str, result: str, done: mmap.mmap) -> None:
    """Compile one file after the other, from the one that comes next; in a process that may die of it."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    while True:
        (position,) = struct.unpack("q", done[:8])
        if position == len(files):
            return
        # Its default action ends the process even while the compiler runs.
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        name = files[position]
        target = os.path.join(result, name + "c")
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            py_compile.compile(os.path.join(root, name), target, name, True, -1, *BY_TIME)
        except MemoryError:
            os._exit(1)
        except py_compile.PyCompileError as error:
            if error.exc_type_name in ("MemoryError", "RecursionError"):
                os._exit(1)
            # Templates and Python 2 never compile, and nobody expects it.
        except OSError:
            pass
        done[:8] = struct.pack("q", position + 1)


def main(root: str, listed: str, result: str) -> None:
    with open(listed, encoding="utf-8", errors="surrogateescape") as file:
        names = file.read().splitlines()
    count = max(1, min(os.cpu_count() or 1, len(names) // 20 + 1))
    shares = [names[number::count] for number in range(count)]
    progress = [mmap.mmap(-1, 8) for _ in shares]
    running: dict[int, int] = {}
    left_out: list[str] = []

    def begin(number: int) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                work(shares[number], root, result, progress[number])
            finally:
                os._exit(0 if sys.exc_info()[0] is None else 1)
        running[pid] = number

    for number in range(count):
        begin(number)
    while running:
        pid, status = os.wait()
        number = running.pop(pid)
        if status == 0:
            continue
        (position,) = struct.unpack("q", progress[number][:8])
        left_out.append(shares[number][position])
        progress[number][:8] = struct.pack("q", position + 1)
        if len(left_out) < MOST_LEFT_OUT:
            begin(number)
    for name in left_out:
        print("Left uncompiled, since it takes too much: " + name)  # noqa: T201 - its output is the build's log


if __name__ == "__main__":
    main(*sys.argv[1:])
