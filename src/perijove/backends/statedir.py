"""The state directory: made, checked, locked. In: a State. Out: the same, ready for use, and its secret."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import pwd
import re
import secrets
import shlex
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from perijove import durable
from perijove.domain.failures import ALREADY_UP, STATE_UNUSABLE, Evidence, Fail, Failure
from perijove.domain.keys import Keys
from perijove.domain.service_failures import SECRET_DAMAGED
from perijove.domain.sizes import size
from perijove.domain.state import State

LONGEST_SOCKET_PATH = 107
"""Bytes, unix(7); a session's socket has the longest name."""
LOG_LIMIT = 8 * 1024**2
"""Bytes of a log beyond which it begins anew."""
CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
"""And nothing else that may stand in such a file, as keys."""
MOST_AUTHORITIES = 4 * 1024**2
"""Bytes; all that browsers trust is a quarter of a megabyte."""
MOST_FILES = 300_000
"""Of the store, whose sizes are looked at: that takes a second or two."""
SINCE = 1_735_689_600
"""The beginning of 2025, Unix seconds."""


def prepare(state: State) -> None:
    """Make the folders with their modes, but those of a pad that another user runs for us.

    Raises Fail: `platform.state-unusable`.
    """
    longest = str(state.session_sockets / ("x" * 40 + ".sock"))
    if len(os.fsencode(longest)) > LONGEST_SOCKET_PATH:
        seen = Evidence(
            longest, f"{size(len(os.fsencode(longest)))}, and a socket's path may have {LONGEST_SOCKET_PATH}"
        )
        raise Fail(STATE_UNUSABLE("its path is too long for the sockets in it", seen))
    try:
        state.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        ours = state.root.stat().st_uid == os.geteuid()
        folders = {**state.of_pad, **state.of_master} if ours else {}
        for folder, mode in folders.items():
            _folder(folder, mode)
        for folder in state.of_master:
            _check_owner(folder, state)
        for folder, mode in state.in_store.items():
            _folder(folder, mode)
        if os.geteuid() == 0 or not ours:
            check_passable(state.root)
    except OSError as error:
        raise Fail(
            STATE_UNUSABLE(error.strerror or str(error), Evidence(str(error.filename or state.root), str(error)))
        ) from error


def _folder(path: Path, mode: int) -> None:
    path.mkdir(mode=mode, exist_ok=True)
    if path.stat().st_uid == os.geteuid():  # else it is whom it was made for that says
        path.chmod(mode)


def _check_owner(folder: Path, state: State) -> None:
    """Where the pad is another user's, it makes our folders; and nobody writes in those of another."""
    try:
        owner = folder.stat().st_uid
    except FileNotFoundError:
        root = _user(state.root.stat().st_uid)
        seen = Evidence(str(folder), f"is not there, and only {root} can make it in {state.root}")
        cause = f"it belongs to {root}, whose pad has made no folders for us"
    else:
        if owner == os.geteuid():
            return
        seen, cause = Evidence(str(folder), f"it is {_user(owner)}'s"), f"the service here is {_user(owner)}'s"
    remedy = "Choose another with --state, or have that user run the service: `systemctl start perijove`."
    if os.geteuid() != 0:
        pad = f"perijove pad --state {state.root} --for {os.geteuid()}"
        remedy = f"Choose another with --state, or have root hold the sandboxes: `{pad}` (perijove-pad.service)."
    raise Fail(STATE_UNUSABLE(cause, seen, remedy=remedy))


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def check_passable(root: Path) -> None:
    """Sessions have uids of their own and must get to what they mount. Raises Fail: `platform.state-unusable`."""
    for parent in (root, *root.resolve().parents):
        if not parent.stat().st_mode & stat.S_IXOTH:
            seen = Evidence(str(parent), f"mode {stat.S_IMODE(parent.stat().st_mode):o}")
            remedy = f"Run `chmod o+x {parent}`, or choose another directory with --state."
            raise Fail(
                STATE_UNUSABLE("sessions, which run as users of their own, cannot pass to it", seen, remedy=remedy)
            )


def lock(state: State) -> int:
    """Hold the directory for one service; the lock goes with the process.

    Raises Fail: `platform.already-up`, `platform.state-unusable`.
    """
    path = state.run / "up.lock"
    with durable.told(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip()
        os.close(descriptor)
        raise Fail(
            ALREADY_UP(f"process {holder or 'unknown'} holds {state.root}", Evidence(str(path), holder))
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def bound_logs(state: State) -> None:
    """Of a log that grew too long a copy is kept beside it, and it begins anew. Raises OSError.

    Who writes it goes on with the same file, at its end.
    """
    for path in state.logs.glob("*.log"):
        if path.stat().st_size > LOG_LIMIT:
            try:
                shutil.copyfile(path, path.with_name(f"{path.name}.1"))
            finally:
                os.truncate(path, 0)


def authorities(state: State, environ: Mapping[str, str]) -> Path | None:
    """A copy of the certificates that the environment names, for sandboxes to see; None where it names none.

    Raises OSError.
    """
    named = environ.get("SSL_CERT_FILE") or environ.get("REQUESTS_CA_BUNDLE")
    if not named:
        return None
    with Path(named).open("rb") as file:
        certificates = CERTIFICATE.findall(file.read(MOST_AUTHORITIES))
    if not certificates:
        raise OSError(errno.EINVAL, "it holds no certificate in PEM", named)
    aside = state.authorities.with_name(f".authorities.{os.getpid()}")
    aside.write_bytes(b"\n".join(certificates) + b"\n")
    aside.chmod(0o644)
    aside.rename(state.authorities)
    return state.authorities


def sizes(state: State, most: int = MOST_FILES) -> Sequence[Evidence]:
    """What takes how much of the store, the most first. At most so many files are looked at. Raises OSError.

    Files that two of its folders share count in one of them.
    """
    left, shared, held = most, set[int](), dict[str, int]()
    for folder in (state.environments, *sorted(state.store.iterdir())):
        if folder.name not in held:
            held[folder.name], left = _size(folder, left, shared)
    least = "" if left else "at least "
    largest = sorted(held.items(), key=lambda one: -one[1])
    return [Evidence(f"store/{name}", f"{least}{size(taken)}") for name, taken in largest if taken >> 20]


def _size(folder: Path, left: int, shared: set[int]) -> tuple[int, int]:
    """Bytes on the disk of what lies below, at most `left` files of it; how many more may be looked at then."""
    size, folders = 0, [folder]
    while folders and left:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in itertools.islice(entries, left):
                    left -= 1
                    found = entry.stat(follow_symlinks=False)
                    if found.st_nlink == 1 or found.st_ino not in shared:
                        size += 512 * found.st_blocks
                    if stat.S_ISDIR(found.st_mode):
                        folders.append(Path(entry.path))
                    elif found.st_nlink > 1:
                        shared.add(found.st_ino)
        except OSError:  # it has gone meanwhile
            continue
    return size, left


def keys(state: State) -> Keys:
    """The keys of this state directory; made on first use.

    Raises Fail: `platform.secret-damaged`, `platform.state-unusable`.
    """
    with durable.told(state.secret):
        return _keys(state)


def _keys(state: State) -> Keys:
    if not state.secret.exists():
        aside = state.secret.with_name(f".secret.{os.getpid()}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        aside.rename(state.secret)
    try:
        secret = state.secret.read_bytes()
    except IsADirectoryError as error:
        raise Fail(_damaged(state.secret, "it is a folder")) from error
    if len(secret) != 32:
        raise Fail(_damaged(state.secret, f"{size(len(secret))} where 32 belong"))
    return Keys(secret)


def _damaged(secret: Path, saw: str) -> Failure:
    file = shlex.quote(str(secret))
    remedy = f"Move it aside: `mv -T {file} {file}.damaged`; then restore it from the backup, or start without one: a"
    remedy += " new secret is made, and links to running sessions end."
    return SECRET_DAMAGED("tokens cannot be made of it", Evidence(str(secret), saw), remedy=remedy)


def first_number(state: State) -> int:
    """Where a new journal begins to count launches: beyond all that had a number, whose keys somebody may still hold.

    A secret is older than a journal where that was lost; fewer launches than seconds have passed since 2025.
    """
    return int(time.time()) - SINCE if state.secret.exists() else 1
