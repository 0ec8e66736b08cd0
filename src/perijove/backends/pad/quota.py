"""A hard limit on a home: an ext4 of its own in a sparse file on a loop device, in the pad's own mount namespace.

In: a size and a folder; out: a `Disk` mounted there, or none where this machine has none. Its device clears itself with
the pad, however that ends. A file that has no name goes with it; one that has is there for the next pad, to be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import shutil
import struct
import sys
from dataclasses import dataclass
from errno import EBUSY, EDQUOT, ENODEV, ENOSPC, EUCLEAN
from functools import partial
from pathlib import Path

from perijove.backends.pad.mounting import MNT_DETACH, UMOUNT_NOFOLLOW, call
from perijove.backends.pad.spawning import in_child, run_tool
from perijove.domain.failures import START_DISK, Evidence, Fail
from perijove.domain.sizes import inodes, size

TRIED = 4 * 1024 * 1024
"""Bytes of the disk that shows whether disks can be made here."""
LITTLE = 4 * 1024 * 1024
"""Bytes left on a disk that counts as full, where a hundredth of it is less."""
BLOCK, INODE = 4096, 256
FEATURES = "none,filetype,extents,dir_index,flex_bg,sparse_super,large_file,huge_file,uninit_bg,dir_nlink,extra_isize"
"""No journal: a home is not looked at again that was not written whole. Named in full, for each distribution has
defaults of its own."""
OPTIONS = b"errors=remount-ro,noinit_itable,discard"
"""What a session removes is free on the disk below at once, for a tenth of a millisecond a file."""
FREE_DEVICES_TRIED = 200
"""Others, and other starts of ours, take the device that was free a moment ago."""

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOATIME = 0x1, 0x2, 0x4, 0x400
SUPERBLOCK, STATE, CLEAN = 1024, 0x3A, b"\x01\x00"
"""Of ext4: whether it was unmounted with everything written, and without errors (ext4(5), `s_state`)."""
LET_GO_WITHIN = 10.0
"""Seconds until a killed pad's last process has gone, and its mounts with it."""
LOOP_CTL_GET_FREE, LOOP_CONFIGURE, LO_FLAGS_AUTOCLEAR = 0x4C82, 0x4C0A, 4
FS_IOC_SHUTDOWN, WITHOUT_WRITING = 0x8004587D, struct.pack("=I", 2)
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Look:
    """How full a disk is, in bytes but for `files`."""

    used: int
    free: int
    files: int
    """How many more files it can hold."""
    below: int
    """Free on the disk that holds it, without what is still to be written there."""

    @property
    def full(self) -> bool:
        """Whether something of a usual size may no longer fit."""
        return self.free <= max((self.used + self.free) // 100, LITTLE) or self.files == 0


class Disk:
    """One that is mounted."""

    def __init__(self, folder: Path, image: int, name: Path | None = None) -> None:
        self.folder = folder
        self._image = image
        self._name = name

    def look(self) -> Look:
        """Raises OSError."""
        here, below = os.statvfs(self.folder), os.fstatvfs(self._image)
        used = (here.f_blocks - here.f_bfree) * here.f_frsize
        unwritten = max(used - os.fstat(self._image).st_blocks * 512, 0)
        free = max(below.f_bavail * below.f_frsize - unwritten, 0)
        return Look(used, here.f_bavail * here.f_frsize, here.f_favail, free)

    def hold(self) -> None:
        """Raises Fail: `start.disk-full` where the disk below has no room for what was written to this one."""
        look = self.look()
        if look.below == 0:
            where = Evidence(str(self.folder), f"{os.strerror(ENOSPC)}: {size(look.used)} were to be written")
            raise Fail(START_DISK("the disk of the state directory has no room for it", where))

    async def written(self) -> None:
        """Wait until all is on the disk below. Raises OSError where it could not be written there."""
        await in_child(partial(_sync, self.folder))

    async def close(self) -> None:
        """Take it away with all that is on it, written or not. Raises OSError."""
        try:
            await in_child(self._discard)
        finally:
            os.close(self._image)
            if self._name is not None:
                self._name.unlink(missing_ok=True)

    def _discard(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(OSError):  # then what is on it is written before it goes
                fcntl.ioctl(folder, FS_IOC_SHUTDOWN, WITHOUT_WRITING)
        finally:
            os.close(folder)
        try:
            _unmount(self.folder, UMOUNT_NOFOLLOW)
        except OSError as error:
            if error.errno != EBUSY:
                raise
            _unmount(self.folder, UMOUNT_NOFOLLOW | MNT_DETACH)
        os.ftruncate(self._image, 0)


class Disks:
    """Makes them, each a copy of an empty one of its size."""

    def __init__(self, folder: Path, mke2fs: str) -> None:
        self._folder = folder
        self._mke2fs = mke2fs

    async def make(self, limit: int, at: Path, owner: int | None = None, named: Path | None = None) -> Disk:
        """One for `limit` bytes of files, empty and ours, mounted on a new folder `at` that is the owner's.

        `named`: its file, which is there for the next pad if this one is killed. Raises OSError: ENOSPC and EDQUOT
        where the disk below is full.
        """
        empty = await self._empty(limit)
        at.mkdir(mode=0o700)
        if owner is not None:  # the host sees this folder only: let it say whose it is
            os.chown(at, owner, owner)
        name = named or at.with_name(f"{at.name}.ext4")
        image = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if named is None:
                name.unlink()
            await in_child(partial(_fill, empty, image, at))
        except BaseException:  # perhaps cancelled when it was mounted already
            os.close(image)
            name.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                _unmount(at, UMOUNT_NOFOLLOW | MNT_DETACH)
            raise
        return Disk(at, image, named)

    async def left(self, named: Path, at: Path) -> Disk:
        """One of a pad that was killed, to be read, mounted on `at`.

        Raises OSError; TimeoutError where something of that pad still holds it: EUCLEAN where it was not all written.
        """
        async with asyncio.timeout(LET_GO_WITHIN):
            while _held(named):  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(0.05)
        image = os.open(named, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _check_written(image)
            await in_child(partial(_mount, image, at, MS_RDONLY))
        except BaseException:
            os.close(image)
            raise
        return Disk(at, image, named)

    async def made(self, limit: int, at: Path, owner: int | None = None, named: Path | None = None) -> Disk | None:
        """The same, or None where none can be had now, which the pad's log says. Raises OSError: ENOSPC, EDQUOT."""
        try:
            return await self.make(limit, at, owner, named)
        except OSError as error:
            if error.errno in {ENOSPC, EDQUOT}:
                raise
            print(f"{at.parent.name}: its disk is watched, for it got none of its own: {error}", file=sys.stderr)  # noqa: T201
            return None

    async def _empty(self, limit: int) -> Path:
        """The file that is copied. Raises OSError."""
        path = self._folder / f"{limit}.ext4"
        if path.exists():
            return path
        files = inodes(limit)
        aside = self._folder / f".{limit}.{os.urandom(4).hex()}"
        with aside.open("xb") as file:
            file.truncate(size_of_image(limit))
        argv = [self._mke2fs, "-q", "-F", "-t", "ext4", "-b", f"{BLOCK}", "-I", f"{INODE}", "-N", f"{files}", "-m", "0"]
        argv += ["-O", FEATURES, "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0", str(aside)]
        status, words = await run_tool(argv, 60)
        if status != 0:
            aside.unlink()
            full = os.strerror(ENOSPC) in words
            raise OSError(ENOSPC if full else ENODEV, f"{self._mke2fs}: {words.strip()[-500:]}")
        aside.rename(path)
        return path


async def find(folder: Path) -> Disks | None:
    """Whether disks can be made here, found out by making one; the pad's log says why not.

    This process must have a mount namespace of its own.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        mke2fs = shutil.which(
            "mke2fs", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
        )
        if mke2fs is None:
            raise FileNotFoundError("mke2fs (e2fsprogs) is not installed")
        folder.mkdir(mode=0o700)
        disks = Disks(folder, mke2fs)
        disk = await disks.make(TRIED, folder / "tried")
        try:
            (disk.folder / "file").write_bytes(bytes(BLOCK))
            await disk.written()
        finally:
            await disk.close()
        disk.folder.rmdir()
    except (OSError, TimeoutError) as error:
        print(f"the disks of sessions are watched, for none can be made for each: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return None
    return disks


def size_of_image(limit: int) -> int:
    """Bytes of a file that has room for `limit` bytes beside inodes, bitmaps, and what the kernel keeps to itself."""
    kept = min(limit // 50, 16 * 1024 * 1024)
    size = limit + inodes(limit) * INODE + limit // 1024 + kept + 2 * 1024 * 1024
    return -(-size // BLOCK) * BLOCK


def _unmount(folder: Path, flags: int) -> None:
    call(_LIBC.umount2, os.fsencode(folder), flags)


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        call(_LIBC.syncfs, opened)
    finally:
        os.close(opened)


def _fill(empty: Path, image: int, at: Path) -> None:
    _copy(empty, image)
    _mount(image, at)
    (at / "lost+found").rmdir()


def _mount(image: int, at: Path, how: int = 0) -> None:
    device, path = _attach(image)
    try:  # from then on the mount alone holds the device
        flags = ctypes.c_ulong(MS_NOSUID | MS_NODEV | MS_NOATIME | how)
        call(_LIBC.mount, os.fsencode(path), os.fsencode(at), b"ext4", flags, OPTIONS)
    finally:
        os.close(device)


def _check_written(image: int) -> None:
    """Raises OSError: EUCLEAN."""
    if os.pread(image, 2, SUPERBLOCK + STATE) != CLEAN:
        raise OSError(EUCLEAN, os.strerror(EUCLEAN))


def _held(image: Path) -> bool:
    """Whether a loop device still has this file."""
    for told in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if told.read_text().strip() == str(image):
                return True
    return False


def _copy(empty: Path, image: int) -> None:
    """What there is of a sparse file; the holes stay holes."""
    with empty.open("rb", buffering=0) as file:
        source, end = file.fileno(), os.fstat(file.fileno()).st_size
        os.ftruncate(image, end)
        position = 0
        while (position := _data(source, position, end)) < end:
            hole = os.lseek(source, position, os.SEEK_HOLE)
            while position < hole:
                position += os.pwrite(image, os.pread(source, min(hole - position, 1024 * 1024), position), position)


def _data(source: int, position: int, end: int) -> int:
    try:
        return os.lseek(source, position, os.SEEK_DATA)
    except OSError:  # a hole up to the end
        return end


def _attach(image: int) -> tuple[int, str]:
    """A loop device for a file: open, and its path. It is free again once nobody has it open or mounted."""
    information = struct.pack(
        "=5Q4I64s64s32s2Q", 0, 0, 0, 0, 0, 0, 0, 0, LO_FLAGS_AUTOCLEAR, b"perijove", b"", b"", 0, 0
    )
    request = struct.pack("=II", image, 0) + information + bytes(64)
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(FREE_DEVICES_TRIED):
            path = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, LOOP_CONFIGURE, request)
            except OSError as error:
                os.close(device)
                if error.errno != EBUSY:
                    raise
            else:
                return device, path
    finally:
        os.close(control)
    raise OSError(EBUSY, os.strerror(EBUSY))
