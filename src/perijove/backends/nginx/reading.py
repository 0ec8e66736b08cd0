"""nginx's files as one Configuration: parsed by crossplane file by file, includes put in their places by nginx's rules.

crossplane's own includes follow none of a copied folder's paths and loop for ever in a cycle, and its combined result
forgets which directive of a file it was.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from glob import glob, has_magic
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import crossplane
from crossplane.analyzer import analyze, enter_block_ctx
from crossplane.errors import NgxParserBaseException

from perijove.domain.failures import Evidence, Fail
from perijove.domain.front_failures import CONFIGURATION_UNREADABLE
from perijove.domain.web_servers import Configuration, Directive

USUAL = Path("/etc/nginx/nginx.conf")
HOMES = ("/etc/nginx", "/usr/local/etc/nginx", "/usr/local/nginx/conf", "/opt/nginx/conf")
"""Folders that an nginx of this machine, or of the one a copy came from, has its files in."""
FOLDERS = ("conf.d", "http.d", "sites-enabled", "sites-available", "vhosts.d")
"""Where people and distributions keep a file for each site."""
_NAMED = re.compile(r"\s*(server_name\s[^;#]*)")
DEEPEST = 16
MOST_FILES = 2000
LARGEST = 4 * 1024 * 1024


def main_file(given: Path | None) -> Path:
    """The main file of a FILE or DIR. Raises Fail: `front.configuration-unreadable`."""
    path = (given or USUAL).expanduser().absolute()
    if not path.is_dir():
        return path
    if (path / USUAL.name).is_file():
        return path / USUAL.name
    files = sorted(path.glob("*.conf"))
    if len(files) == 1:
        return files[0]
    told = ", ".join(one.name for one in files[:20]) or "no file *.conf"
    raise Fail(CONFIGURATION_UNREADABLE("it is not clear which file is the main one", Evidence(str(path), told)))


def read(main: Path, changed: Mapping[str, str] | None = None) -> Configuration:
    """All of it. `changed`: texts to read in the place of files, by their paths.

    Raises Fail: `front.configuration-unreadable`.
    """
    reader = _Reader(main, dict(changed or {}))
    block = tuple(reader.file(main, reader.text(main), (), 0))
    whole = Directive("main", (), str(main), 1, -1, block)
    return Configuration(
        whole, reader.texts, tuple(reader.errors), tuple(reader.absent), tuple(reader.unread), tuple(reader.left())
    )


class _Reader:
    """What was read so far."""

    def __init__(self, main: Path, changed: Mapping[str, str]) -> None:
        self.home = main.parent
        self.changed = changed
        self.texts: dict[str, str] = {}
        self.errors: list[Evidence] = []
        self.absent: list[Evidence] = []
        self.unread: list[Evidence] = []

    def file(self, path: Path, text: str, context: tuple[str, ...], depth: int) -> Iterator[Directive]:
        """A file's directives."""
        self.texts[str(path)] = text
        if len(self.texts) > MOST_FILES:
            raise Fail(CONFIGURATION_UNREADABLE(f"it has more than {MOST_FILES} files", Evidence(str(path), "")))
        parsed = crossplane.parse_string(text, filename=str(path), single=True, check_ctx=False)
        for error in parsed["errors"]:
            self._wrong(path, error["line"], error["error"])
        numbers = iter(range(len(text)))
        yield from self._block(path, parsed["config"][0]["parsed"], context, depth, numbers)

    def _wrong(self, path: Path, line: int | None, words: str) -> None:
        where = f"{path}:{line}" if line else str(path)
        self.errors.append(Evidence(where, words.partition(" in /")[0][:500]))

    def text(self, path: Path) -> str:
        """As nginx reads it: bytes, whatever they mean. Raises Fail: `front.configuration-unreadable`."""
        if (changed := self.changed.get(str(path))) is not None:
            return changed
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST + 1)
        except OSError as error:
            words = Evidence(str(path), str(error.strerror or error))
            raise Fail(CONFIGURATION_UNREADABLE(f"{path} cannot be read", words)) from error
        if len(content) > LARGEST:
            raise Fail(CONFIGURATION_UNREADABLE(f"{path} is larger than 4 MB", Evidence(str(path), "")))
        return content.decode(encoding(content))

    def _block(
        self, path: Path, statements: list[dict[str, Any]], context: tuple[str, ...], depth: int, numbers: Iterator[int]
    ) -> Iterator[Directive]:
        for one in statements:
            number = next(numbers)
            name, args, line = one["directive"], tuple(one["args"]), one["line"]
            inner = one.get("block")
            try:
                term = ";" if inner is None else "{"
                analyze(str(path), one, term, context, check_ctx=True, check_args=False)
            except NgxParserBaseException as error:
                self._wrong(path, line, error.strerror)
            if name == "include" and args:
                yield from self._included(path, line, args[0], context, depth)
                continue
            block = None
            if inner is not None:
                block = tuple(self._block(path, inner, enter_block_ctx(one, context), depth, numbers))
            yield Directive(name, args, str(path), line, number, block)

    def _included(
        self, path: Path, line: int, pattern: str, context: tuple[str, ...], depth: int
    ) -> Iterator[Directive]:
        if depth >= DEEPEST:
            self._wrong(path, line, f"include {pattern}: files include one another in a circle")
            return
        found = self._files(pattern)
        if not found and (closed := _closed(pattern if pattern.startswith("/") else f"{self.home}/{pattern}")):
            self.unread.append(Evidence(f"{path}:{line}", f"include {pattern}: this user may not look into {closed}"))
        elif not found and not has_magic(pattern):
            self.absent.append(Evidence(f"{path}:{line}", f"include {pattern}: it is not there"))
        for file in found:
            try:
                text = self.text(Path(file))
            except Fail as error:
                self.unread.append(Evidence(f"{path}:{line}", f"include {pattern}: {error.failure.cause}"))
                continue
            yield from self.file(Path(file), text, context, depth + 1)

    def left(self) -> Iterator[Evidence]:
        """Names of servers in files that stand where people keep such files, and that nothing included."""
        read = {os.path.realpath(path) for path in self.texts}
        files = (path for folder in FOLDERS for path in sorted((self.home / folder).glob("*")) if os.path.isfile(path))
        for path in islice((one for one in files if os.path.realpath(one) not in read), MOST_FILES):
            try:
                lines = self.text(path).splitlines()
            except Fail:
                continue
            for number, line in enumerate(lines, 1):
                if names := _NAMED.match(line):
                    yield Evidence(f"{path}:{number}", names[1][:500])

    def _files(self, pattern: str) -> list[str]:
        """The files of an include, in nginx's order. Relative ones lie beside the main file.

        A copied folder names the places of the machine it came from: its own files come before this machine's.
        """
        home = str(self.home)
        if not pattern.startswith("/"):
            return _glob(f"{home}/{pattern}")
        if pattern.startswith(f"{home}/") or home in HOMES:
            return _glob(pattern)
        parts = pattern.split("/")[1:]
        for start in range(len(parts)):
            tail = parts[start:]
            if (len(tail) > 1 or not has_magic(tail[0])) and (found := _glob("/".join([home, *tail]))):
                return found
        return [] if pattern.startswith(tuple(f"{one}/" for one in HOMES)) else _glob(pattern)


def encoding(content: bytes) -> str:
    """What a file's bytes are read and written by: nginx does not ask."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _glob(pattern: str) -> list[str]:
    found = glob(pattern) if has_magic(pattern) else [pattern]
    return sorted(one for one in found if os.path.isfile(one))


def _closed(pattern: str) -> str:
    """The folder of an include that this user may not look into; `` where all may be seen, or nothing is there."""
    folder = Path(*takewhile(lambda part: not has_magic(part), Path(pattern).parent.parts))
    there = next((one for one in (*reversed(folder.parents), folder) if not os.access(one, os.X_OK)), folder)
    return str(there) if os.path.isdir(there) and not os.access(there, os.R_OK | os.X_OK) else ""
