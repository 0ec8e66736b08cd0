"""Repositories that no honest author makes: trees that name more files than exist, and paths that lead elsewhere."""

from __future__ import annotations

import hashlib
import zlib

from tests.fakes.git_server import Author

Entry = tuple[str, bytes, str]
"""Mode (`100644`, `40000`, `120000`), name, object."""


def stored(author: Author, kind: str, content: bytes) -> str:
    """An object of any content, loose in the bare repository as `git hash-object --literally -w` does; its name."""
    whole = f"{kind} {len(content)}\0".encode() + content
    name = hashlib.sha1(whole).hexdigest()
    path = author.bare / "objects" / name[:2] / name[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(whole))
    return name


def tree(author: Author, *entries: Entry) -> str:
    """A tree of these entries, in this order, whatever they are."""
    content = b"".join(
        mode.encode() + b" " + name + b"\0" + bytes.fromhex(object_name) for mode, name, object_name in entries
    )
    return stored(author, "tree", content)


def on_main(author: Author, root: str) -> str:
    """A commit of a tree, as the default branch; its name."""
    who = b"Eve <eve@example.org> 1700000000 +0000"
    commit = stored(
        author, "commit", b"tree " + root.encode() + b"\nauthor " + who + b"\ncommitter " + who + b"\n\nx\n"
    )
    (author.bare / "refs/heads/main").write_text(f"{commit}\n")
    return commit


def bomb(author: Author, width: int = 32, levels: int = 5, content: bytes = b"") -> str:
    """A commit of `width ** levels` files in `levels + 2` objects."""
    below = stored(author, "blob", content)
    mode = "100644"
    for _ in range(levels):
        below = tree(author, *((mode, f"{number:02}".encode(), below) for number in range(width)))
        mode = "40000"
    return on_main(author, below)


def nested(author: Author, depth: int) -> str:
    """A commit of one file below `depth` folders."""
    below, mode = stored(author, "blob", b"deep"), "100644"
    for _ in range(depth + 1):
        below, mode = tree(author, (mode, b"a", below)), "40000"
    return on_main(author, below)
