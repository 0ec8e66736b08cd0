"""This machine: what it is, how busy it is, what memory processes take. In: process ids. Out: facts from /proc."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from typing import Any

import psutil

IDLE = 0.15
"""Busy share of all processors below which the machine counts as quiet."""
MEGABYTE = 1024 * 1024


def facts() -> dict[str, Any]:
    """What a reader must know to compare numbers."""
    return {
        "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "processors": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "user": "root" if os.geteuid() == 0 else "unprivileged",
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def quiet(limit: float) -> float:
    """Wait until the machine is nearly idle, at most `limit` seconds; the busy share that was seen last."""
    ends = time.monotonic() + limit
    while True:
        busy = psutil.cpu_percent(interval=0.25) / 100
        if busy <= IDLE or time.monotonic() >= ends:
            return busy


def family(root: psutil.Process) -> list[psutil.Process]:
    """A process and all below it."""
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def megabytes(processes: Iterable[psutil.Process]) -> float:
    """Proportional set size: what several share is counted once, by shares."""
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / MEGABYTE
