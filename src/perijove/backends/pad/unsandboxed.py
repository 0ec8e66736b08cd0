"""`isolation = none`: the command of an order as a plain process of ours, for a service on loopback only.

In: an order; out: its command and variables, with the host's paths. Pure but for `die_with_parent`.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from perijove.backends.pad.overlays import Laid
from perijove.backends.pad.sandbox import HOME
from perijove.backends.pad.wire import Order

PR_SET_PDEATHSIG = 1
MARK = "PERIJOVE_SANDBOX"
"""The variable by which processes that no namespace holds together are found again."""
_LIBC = ctypes.CDLL(None, use_errno=True)


def translated(
    order: Order, home: Path, laid: Sequence[Laid], environ: Sequence[tuple[str, str]]
) -> tuple[list[str], dict[str, str]]:
    """Command and environment as they stand outside any sandbox."""
    copies = [(str(stack.target), str(stack.upper)) for stack in laid]
    moved = sorted(
        [(HOME, str(home)), *((str(m.target), str(m.source)) for m in order.mounts if m.target != m.source), *copies],
        key=lambda pair: len(pair[0]),
        reverse=True,
    )

    def outside(text: str) -> str:
        for inside, out in moved:
            text = text.replace(inside, out)
        return text

    return [outside(word) for word in order.command], {
        **{name: outside(value) for name, value in environ},
        MARK: str(home.parent),
    }


def marked(folder: Path) -> list[int]:
    """Processes that were started for a sandbox of this folder or of one below it, wherever they hang by now."""
    mark = f"\0{MARK}={folder}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                environ = b"\0" + Path(f"/proc/{name}/environ").read_bytes()
            except OSError:  # gone, or not ours
                continue
            if mark + b"/" in environ or mark + b"\0" in environ:
                found.append(int(name))
    return found


def die_with_parent() -> None:
    """Have the kernel end this process when the pad ends."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
