"""A pack whose objects are each twice as large as the one that they are made from: kilobytes that become gigabytes."""

from __future__ import annotations

import hashlib
import subprocess
import zlib
from itertools import pairwise

from tests.attack.hostile_trees import on_main, tree
from tests.fakes.git_server import Author

MIB = 1024**2
BLOB, OFS_DELTA = 3, 6
"""Kinds of objects: gitformat-pack(5)."""
LARGEST_COPY = 8 * MIB


def doubled(author: Author, levels: int) -> str:
    """A commit of files of 8, 16, 32, … MiB of zeros, in one pack of deltas; the last is 8 MiB * 2 ** levels."""
    sizes = [LARGEST_COPY << level for level in range(levels + 1)]
    pack = b"PACK" + (2).to_bytes(4) + len(sizes).to_bytes(4)
    last = len(pack)
    pack += _head(BLOB, sizes[0]) + zlib.compress(bytes(sizes[0]))
    for small, large in pairwise(sizes):
        delta = _size(small) + _size(large) + _copies(large // LARGEST_COPY)
        start = len(pack)
        pack += _head(OFS_DELTA, len(delta)) + _offset(start - last) + zlib.compress(delta)
        last = start
    pack += hashlib.sha1(pack).digest()
    subprocess.run(["git", "index-pack", "--stdin"], cwd=author.bare, input=pack, check=True, capture_output=True)
    return on_main(author, tree(author, *(("100644", b"%09d" % size, _name(size)) for size in sizes)))


def _name(size: int) -> str:
    hashed = hashlib.sha1(b"blob %d\0" % size)
    for _ in range(size // MIB):
        hashed.update(bytes(MIB))
    return hashed.hexdigest()


def _size(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    *low, high = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(bits | 0x80 for bits in low), high])


def _head(kind: int, size: int) -> bytes:
    first, rest = kind << 4 | size & 0xF, size >> 4
    return bytes([first | 0x80]) + _size(rest) if rest else bytes([first])


def _offset(number: int) -> bytes:
    """Seven bits a byte, the highest first, each but the last counted from one."""
    out = [number & 0x7F]
    while number := number >> 7:
        number -= 1
        out.insert(0, number & 0x7F | 0x80)
    return bytes(out)


def _copies(count: int) -> bytes:
    """As often as that, all of the first 8 MiB of what it is made from."""
    return count * (bytes([0x80 | 0x40]) + (LARGEST_COPY >> 16).to_bytes(1))
