"""Whom the pad serves: the *master*, which is the pad's own user, or another one where the pad runs as root.

In: a state directory and perhaps a user's name. Out: the folders with their owners and modes, and a `Master`.
Root changes nothing in a folder that another user can write to, and follows no link of such a user.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from perijove.domain.failures import STATE_UNUSABLE, Evidence, Fail
from perijove.domain.state import State

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Master:
    """The user of the service."""

    uid: int
    gid: int

    @property
    def other(self) -> bool:
        """Whether it is another user than the pad's, and so trusted with no more than its own rights."""
        return self.uid != os.getuid()

    def give(self, file: Path | int) -> None:
        """Make it the owner of a file that lies in a folder of the pad's, or is open."""
        if self.other:
            os.chown(file, self.uid, self.gid)

    @contextlib.contextmanager
    def rights(self) -> Iterator[None]:
        """Its rights in the place of ours. Nothing may be awaited meanwhile."""
        if not self.other:
            yield
            return
        ours = os.getegid()
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(ours)

    def folder(self, path: Path) -> int:
        """Open a folder that it names. Raises OSError, and PermissionError where it belongs to somebody else."""
        with self.rights():
            opened = os.open(path, FOLDER)
        if self.other and os.fstat(opened).st_uid != self.uid:
            os.close(opened)
            raise PermissionError(f"{path} does not belong to {name(self.uid)}")
        return opened


def ourselves() -> Master:
    return Master(os.getuid(), os.getgid())


def name(uid: int) -> str:
    """A user's name, or `uid N` where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def named(user: str) -> Master:
    """By name or number. Raises LookupError where there is nobody of this name."""
    if not user.isdecimal():
        entry = pwd.getpwnam(user)
        return Master(entry.pw_uid, entry.pw_gid)
    try:
        return Master(int(user), pwd.getpwuid(int(user)).pw_gid)
    except KeyError:
        return Master(int(user), int(user))


def settle(state: State, asked: Master | None) -> Master:
    """Make the folders for the master asked for, else for the one they were made for, else for ourselves.

    Raises Fail: `platform.state-unusable`.
    """
    try:
        state.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        master = asked or _known(state)
        if master.other:
            _may_serve(master, state)
        root = os.open(state.root, FOLDER & ~os.O_NOFOLLOW)
        try:
            _own(root, os.getuid(), os.getgid(), 0o711)
            for folder, mode in state.of_pad.items():
                if folder != state.root:
                    group = master.gid if folder in {state.session_sockets, state.handed} else os.getgid()
                    _folder(root, folder, mode, Master(os.getuid(), group), seized=False)
            for folder, mode in state.of_master.items():
                _folder(root, folder, mode, master, seized=True)
        finally:
            os.close(root)
    except OSError as error:
        where = Evidence(str(error.filename or state.root), str(error))
        raise Fail(STATE_UNUSABLE(error.strerror or str(error), where)) from error
    return master


def _known(state: State) -> Master:
    try:
        facts = state.run.lstat()
    except FileNotFoundError:
        return ourselves()
    return Master(facts.st_uid, facts.st_gid) if facts.st_uid != os.getuid() else ourselves()


def _may_serve(master: Master, state: State) -> None:
    """Only root may serve others, and only where they cannot exchange the state directory for another."""
    if os.getuid() != 0:
        where = Evidence(str(state.root), f"for {name(master.uid)}, by {name(os.getuid())}")
        remedy = f"Run this as root or as {name(master.uid)}, or choose another directory with --state."
        raise Fail(STATE_UNUSABLE("only root may hold sandboxes for another user", where, remedy=remedy))
    for folder in state.root.resolve().parents:
        facts = folder.stat()
        written = facts.st_mode & stat.S_IWOTH or (facts.st_mode & stat.S_IWGRP and facts.st_gid != 0)
        if facts.st_uid != 0 or (written and not facts.st_mode & stat.S_ISVTX):
            where = Evidence(str(folder), f"{name(facts.st_uid)}'s, mode {stat.S_IMODE(facts.st_mode):o}")
            remedy = "Choose a state directory below folders that only root can change, such as /var/lib/perijove."
            raise Fail(STATE_UNUSABLE("others than root can exchange it for another folder", where, remedy=remedy))


def _folder(root: int, path: Path, mode: int, owner: Master, seized: bool) -> None:
    """One folder right below the root, made if need be; `seized` from whoever had it before."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path.name, 0o700, dir_fd=root)
        seized = True
    opened = os.open(path.name, FOLDER, dir_fd=root)
    try:
        had = os.fstat(opened).st_uid
        if had != owner.uid and not seized:
            remedy = f"Nothing in it needs to be kept: `rm -r {path}`."
            where = Evidence(str(path), f"it belongs to {name(had)}")
            raise Fail(STATE_UNUSABLE("another user has filled a folder of the pad's", where, remedy=remedy))
        _own(opened, owner.uid, owner.gid, mode)
    finally:
        os.close(opened)


def _own(opened: int, uid: int, gid: int, mode: int) -> None:
    facts = os.fstat(opened)
    if os.getuid() == 0 and (facts.st_uid, facts.st_gid) != (uid, gid):
        os.fchown(opened, uid, gid)
    os.fchmod(opened, mode)
