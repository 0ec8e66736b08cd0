"""Which folders a call may change and read, held by the kernel (landlock(7)) where it can: from 5.19 on.

In: folders; out: whether they hold. Below that, file modes alone hold, and what our own code checks.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION, PATH_BENEATH = 1, 1
LEAST = 2
"""The version of Landlock from which on files may be linked and moved between folders at all."""
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 1 << 1, 1 << 2, 1 << 3
TRUNCATE = 1 << 14
READS = EXECUTE | READ_FILE | READ_DIR
CHANGES = WRITE_FILE | sum(1 << number for number in range(4, 14))
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
HERE = Path(__file__).parents[2]
SYSTEM = (*map(Path, ("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/dev", "/run/systemd/resolve")), HERE)
DEVICE = Path("/dev/null")
_libc = ctypes.CDLL(None, use_errno=True)


def held() -> bool:
    """Whether this kernel can."""
    return bool(_libc.syscall(CREATE_RULESET, None, 0, VERSION) >= LEAST)


def confine(writes: Iterable[Path], reads: Iterable[Path] | None) -> bool:
    """From now on, this thread and all that it starts; False where this kernel holds nothing. Raises OSError."""
    version = _libc.syscall(CREATE_RULESET, None, 0, VERSION)
    if version < LEAST:
        return False
    changes = CHANGES | (TRUNCATE if version >= 3 else 0)
    handled = changes | (READS if reads is not None else 0)
    attributes = struct.pack("Q", handled)
    rules = _checked(_libc.syscall(CREATE_RULESET, attributes, len(attributes), 0))
    readable = (*SYSTEM, Path(sys.prefix), Path(sys.base_prefix), *(reads or ()))
    for path in readable if reads is not None else ():
        _allow(rules, path, READS)
    for path in (*writes, DEVICE):
        _allow(rules, path, handled)
    _checked(_libc.syscall(RESTRICT_SELF, rules, 0))
    os.close(rules)
    return True


def _allow(rules: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return  # nothing to allow
    try:
        given = rights if path.is_dir() else rights & OF_FILES
        _checked(_libc.syscall(ADD_RULE, rules, PATH_BENEATH, struct.pack("=Qi", given, place), 0))
    finally:
        os.close(place)


def _checked(answer: int) -> int:
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return answer
