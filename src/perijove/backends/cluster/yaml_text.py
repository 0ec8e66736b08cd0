"""YAML as `kubectl get -o yaml` writes it, ten times faster than the library. In: text. Out: documents. Pure.

Block mappings, block sequences and scalars are read here, line by line. Whatever else stands in a document (anchors,
tags, flow collections, comments behind values) sends the whole document to PyYAML, so that the result is always its.
Times stay text.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import yaml

_DOCUMENT = re.compile(r"^---[ \t]*$", re.MULTILINE)
_NOT_KUBECTLS = re.compile(r"^(?:---[ \t]+\S|\.\.\.|%)", re.MULTILINE)
"""What stands beside a document's beginning, or between documents: the library reads the whole text then."""
_KEY = re.compile(r"""( *)(?:([A-Za-z0-9_.~/$()][^\s:#]*|"[^"\\]*"|'[^']*'):(?: +|$))?(.*)""")
_ITEMS = re.compile(r"(?:[A-Za-z]+: [\w./-]+\n)*items:\n(?=- )")
_TAIL = re.compile(r"^[A-Za-z]", re.MULTILINE)
_ANCHOR = re.compile(r"([&*])([A-Za-z0-9_-]+)")
_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_BLOCK = re.compile(r"[|>][-+0-9]*$")


_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/")
_LOWER = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
_WORDS = frozenset(form for word in _LOWER for form in (word, word.title(), word.upper()))
_NAMES: dict[str, str] = {}


class Unusual(Exception):
    """Something that only the library reads."""


class _Loader(yaml.CSafeLoader):
    """PyYAML's, but for times."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def documents(text: str) -> Iterator[Any]:
    """All documents of a file. Raises yaml.YAMLError for what is no YAML."""
    if _NOT_KUBECTLS.search(text):
        yield from yaml.load_all(text, _Loader)
        return
    for part in _DOCUMENT.split(text):
        if not part.strip():
            continue
        try:
            yield _Reader(part).document()
        except (Unusual, IndexError):
            yield from yaml.load_all(part, _Loader)


@lru_cache(maxsize=20_000)
def _scalar(word: str) -> Any:
    """A plain scalar by YAML's rules."""
    if _NUMBER.fullmatch(word):
        return int(word)
    for _, pattern in _Loader.yaml_implicit_resolvers.get(word[0], []):
        if pattern.match(word):
            return yaml.load(word, _Loader)  # noqa: S506
    return word


def _name(key: str) -> str:
    """A mapping's key, kept once for all objects."""
    name = key[1:-1] if key[0] in "\"'" else key if key[0].isalpha() else _scalar(key)
    if not isinstance(name, str) or key in _WORDS:
        raise Unusual
    return _NAMES.setdefault(key, sys.intern(name)) if len(_NAMES) < 10_000 else name


def members(text: str, leave: frozenset[str] = frozenset()) -> Iterator[Any]:
    """The members of a list as kubectl writes it, each read alone, so that none has to be held but what is kept of it.

    `leave`: keys that are passed over with all beneath them. Raises Unusual for any other text: `documents` reads that.
    """
    begin = _ITEMS.match(text)
    if begin is None or _NOT_KUBECTLS.search(text) or _DOCUMENT.search(text) or "\t" in text:
        raise Unusual
    tail = _TAIL.search(text, begin.end())
    end = tail.start() if tail is not None else len(text)
    anchors: dict[str, Any] = {}
    at = begin.end()
    while at < end:
        after = text.find("\n- ", at, end)
        after = end if after < 0 else after + 1
        first, _, rest = text[at + 2 : after].partition("\n")
        named = _ANCHOR.fullmatch(first)
        if named is None:
            yield _Reader(f"  {first}\n{rest}", anchors, leave).document()
        elif named[1] == "&":
            yield anchors.setdefault(named[2], _Reader(rest, anchors, leave).document())
        else:
            raise Unusual
        at = after


class _Reader:
    """One document's lines, read once from the first to the last."""

    def __init__(self, text: str, anchors: dict[str, Any] | None = None, leave: frozenset[str] = frozenset()) -> None:
        if "\t" in text:
            raise Unusual
        self.lines = text.split("\n")
        self.at = 0
        self.anchors = {} if anchors is None else anchors
        self.leave = leave

    def document(self) -> Any:
        self._skip()
        if self.at >= len(self.lines):
            raise Unusual
        value = self._block(self._indent())
        self._skip()
        if self.at < len(self.lines):
            raise Unusual
        return value

    def _skip(self) -> None:
        """Over what says nothing."""
        lines = self.lines
        while self.at < len(lines):
            line = lines[self.at]
            if line and not line.isspace() and not line.lstrip().startswith("#"):
                if line == "...":
                    raise Unusual
                return
            self.at += 1

    def _indent(self) -> int:
        line = self.lines[self.at]
        return len(line) - len(line.lstrip(" "))

    def _block(self, indent: int) -> Any:
        line = self.lines[self.at]
        return (
            self._sequence(indent)
            if line.startswith(("- ", "-\n"), indent) or line[indent:] == "-"
            else (self._mapping(indent))
        )

    def _sequence(self, indent: int) -> list[Any]:
        found: list[Any] = []
        lines = self.lines
        while True:
            self._skip()
            if self.at >= len(lines) or self._indent() != indent:
                break
            line = lines[self.at]
            if line[indent:] == "-":
                raise Unusual
            if not line.startswith("- ", indent):
                break
            # What follows the dash is a block of its own, as deep as it stands.
            lines[self.at] = line[:indent] + "  " + line[indent + 2 :]
            inner = self._indent()
            word = lines[self.at][inner:]
            match = _KEY.match(word)
            is_block = word.startswith("- ") or (match is not None and match[2] is not None)
            named = _ANCHOR.fullmatch(word)
            if named is not None:
                found.append(self._named(named[1], named[2], indent))
            else:
                found.append(self._block(inner) if is_block else self._value(word, indent))
        return found

    def _mapping(self, indent: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines, count, match_key = self.lines, len(self.lines), _KEY.match
        while self.at < count:
            match = match_key(lines[self.at])
            depth, key, word = match.groups() if match is not None else ("", None, "")
            if key is None:
                before = self.at
                self._skip()
                if self.at == before:
                    break
                continue
            if len(depth) != indent:
                break
            name = _NAMES.get(key) or _name(key)
            if name in self.leave:
                self._pass(indent)
            elif not word:
                found[name] = self._nested(indent)
            elif word[0] in _LETTERS and ":" not in word and "#" not in word:
                self.at += 1
                deeper = self.at < count and lines[self.at][: indent + 1].isspace()
                word = sys.intern(word)
                found[name] = self._folded(word, indent) if deeper else word if word not in _WORDS else _scalar(word)
            elif (named := _ANCHOR.fullmatch(word)) is not None:
                found[name] = self._named(named[1], named[2], indent)
            else:
                found[name] = self._value(word, indent)
        return found

    def _pass(self, indent: int) -> None:
        """Over a key with all beneath it: what is deeper, and a sequence as deep as the key."""
        lines, self.at = self.lines, self.at + 1
        while self.at < len(lines):
            line = lines[self.at]
            if line and not line[: indent + 1].isspace() and not line.startswith("- ", indent):
                return
            self.at += 1

    def _named(self, sign: str, name: str, indent: int) -> Any:
        """What has a name for others, or what another has under that name."""
        if sign == "*":
            self.at += 1
            if name not in self.anchors:
                raise Unusual
            return self.anchors[name]
        value = self.anchors[name] = self._nested(indent)
        return value

    def _nested(self, indent: int) -> Any:
        """What a key holds that stands alone on its line: a deeper block, a sequence as deep as the key, or null."""
        self.at += 1
        self._skip()
        if self.at >= len(self.lines):
            return None
        deeper = self._indent()
        if deeper > indent:
            word = self.lines[self.at][deeper:]
            match = _KEY.match(word)
            if not word.startswith("- ") and (match is None or match[2] is None):
                raise Unusual
            return self._block(deeper)
        return self._sequence(indent) if deeper == indent and self.lines[self.at].startswith("- ", indent) else None

    def _value(self, word: str, indent: int) -> Any:
        """A scalar that begins on this line; lines that are deeper than `indent` go on with it."""
        start = self.at
        self.at += 1
        first = word[0]
        if first in "|>" and _BLOCK.match(word):
            return self._library(start, indent)
        if first in {"'", '"'}:
            whole = word[1:-1]
            if len(word) > 1 and word[-1] == first and first not in whole and "\\" not in whole:
                return whole
            return self._quoted(start, word, indent)
        if first in "{[":
            if word == "{}":
                return {}
            if word == "[]":
                return []
            raise Unusual
        if first in "&*!%@`#" or " #" in word or ": " in word or word[-1] == ":":
            raise Unusual
        if self.at < len(self.lines) and self.lines[self.at][: indent + 1].isspace():
            return self._folded(word, indent)
        return _scalar(word)

    def _folded(self, word: str, indent: int) -> str:
        """A plain scalar of several lines, which are joined by spaces."""
        parts = [word]
        lines = self.lines
        while self.at < len(lines) and lines[self.at][: indent + 1].isspace():
            part = lines[self.at].strip(" ")
            if not part or part[0] == "#" or " #" in part or ": " in part or part[-1] == ":":
                raise Unusual
            parts.append(part)
            self.at += 1
        if self.at < len(lines) and not lines[self.at].strip():
            raise Unusual
        return " ".join(parts)

    def _quoted(self, start: int, word: str, indent: int) -> Any:
        if word[0] == "'" and len(word) > 1 and word[-1] == "'" and "'" not in word[1:-1].replace("''", ""):
            return word[1:-1].replace("''", "'")
        parts = [word]
        lines = self.lines
        while word[0] == "'" and self.at < len(lines) and lines[self.at].strip():
            parts.append(lines[self.at].strip(" "))
            self.at += 1
            if parts[-1].replace("''", "").endswith("'"):
                inside = " ".join(parts)[1:-1].replace("''", "\0")
                if "'" in inside:
                    raise Unusual
                return inside.replace("\0", "'")
        self.at = start + 1
        return self._library(start, indent)

    def _library(self, start: int, indent: int) -> Any:
        """A scalar of several lines or with escapes: read by PyYAML, alone."""
        lines = self.lines
        while self.at < len(lines) and (not lines[self.at] or lines[self.at].isspace() or self._indent() > indent):
            self.at += 1
        line = lines[start]
        match = _KEY.match(line)
        name = match[2] if match is not None else None
        text = "\n".join(
            [line[indent:] if name else f"? {line.strip()}", *(one[indent:] for one in lines[start + 1 : self.at])]
        )
        # A line that another follows has an end of its own, which block scalars keep.
        try:
            value = yaml.load(text + ("\n" if self.at < len(lines) else ""), _Loader)  # noqa: S506
        except yaml.YAMLError as error:
            raise Unusual from error
        if not isinstance(value, dict) or len(value) != 1:
            raise Unusual
        return next(iter(value.values())) if name else next(iter(value))
