"""What a pod handed out of its home, sealed for its visitor. Lives in a confined process; nothing of it is run.

In: a tar that a stranger may have written, and the checkout that the home was made from. Out: a sealed file beside it.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from errno import ENAMETOOLONG
from pathlib import Path

from perijove.domain.failures import Evidence, Fail
from perijove.domain.keeping import KeepTerms, KeptWork, LeftOut
from perijove.domain.keeping_failures import KEPT_UNREADABLE
from perijove.domain.nouns import SessionName
from perijove.giving import FOLDER
from perijove.home_changes import DEEPEST, Changes, decided, seal
from perijove.kept_files import ODD, UTF_8, written

TAR, SEALED = "files.tar", "sealed"


def sealed(
    folder: Path, session: SessionName, terms: KeepTerms, home_from: Path, left_out: Mapping[str, int]
) -> KeptWork | None:
    """Of the tar in a folder; None where nothing changed. `left_out`: of what the pod did not hand out.

    Raises Fail: `session.kept-unreadable`.
    """
    home, base = folder / "home", None
    home.mkdir(mode=0o700)
    changes = Changes(nullcontext, nullcontext, terms.size)
    changes.left_out.update(left_out)
    try:
        _unpack(folder / TAR, home, terms, changes)
    except (tarfile.TarError, EOFError, ValueError, OverflowError, FileExistsError, NotADirectoryError) as error:
        cause, remedy = "what its pod handed out is no tar of its files", "Launch again: its processes are not ours."
        raise Fail(KEPT_UNREADABLE(cause, Evidence(session, str(error)[:300]), remedy=remedy)) from error
    with suppress(FileNotFoundError):  # the checkout is gone: all counts as changed
        base = os.open(home_from, FOLDER)
    ours = os.open(home, FOLDER)
    changes.look(ours, base)
    kept = decided(changes, session, terms)
    if kept is None:
        return None
    with (folder / SEALED).open("xb") as file:
        seal(ours, *kept, file, written)
    return kept[1]


def _unpack(tar: Path, home: Path, terms: KeepTerms, changes: Changes) -> None:
    """Regular files alone, each below folders that are made here, over nothing: so there is no link to follow."""
    size, files = terms.size, terms.files
    with tarfile.open(tar, "r|", encoding=UTF_8, errors=ODD) as members:
        for info in members:
            parts, content = info.name.split("/"), members.extractfile(info) if info.isreg() else None
            size, files = size - info.size, files - 1
            wrong = {"", ".", ".."} & {*parts} or len(parts) > DEEPEST + 1
            if content is None or wrong or min(info.size, size, files) < 0:  # a negative size makes room for others
                raise ValueError(f"{info.name[:100]!r} was not asked for")
            at = home.joinpath(*parts)
            try:
                at.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                mode = 0o700 if info.mode & 0o100 else 0o600
                with open(os.open(at, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                    shutil.copyfileobj(content, file)
            except OSError as error:
                if error.errno != ENAMETOOLONG:
                    raise
                changes.left_out[LeftOut.DEEP] += 1
            else:
                os.utime(at, (info.mtime, info.mtime))
