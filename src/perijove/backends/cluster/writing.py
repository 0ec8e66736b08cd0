"""A cluster as it was looked at, as a folder that `recording` reads. In: a Recording, a folder. Out: files, 0600.

What is no secret of a Secret (names, certificates, some settings) stands in `looked.json`: its values were thrown away
as they were read. What looks like a token in a log is left out; names of persons are replaced where that is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from perijove import durable
from perijove.backends.cluster.kinds import KINDS
from perijove.domain import wire
from perijove.domain.cluster import Recording, SeenCertificate, Thing, day, mapping, text
from perijove.domain.cluster_failures import RECORDING_UNWRITABLE
from perijove.domain.failures import Evidence, Fail

LOOKED = "looked.json"
_PLURAL = {one.kind: one.plural for one in KINDS}
_TOKEN = re.compile(
    r"((?:token|password|passwd|secret|api_?key|authorization|cookie)[\"']?\s*[=:]\s*[\"']?"
    r"(?:(?:bearer|token|basic) )?)"
    r"[^\s\"'&,;]{4,}",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"(://)[^/@:\s]+:[^/@\s]+@")
"""In an address: a database's, for one."""
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_WORD = re.compile(r"\w(?:[\w.-]*\w)?")
_USER = "hub.jupyter.org/username"
SHORTEST = 3
"""Characters of a name that is replaced: shorter ones stand within other words."""


def write(seen: Recording, folder: Path, *, names: bool) -> None:
    """All of it; with `names`, those of users and their addresses as they are.

    Raises Fail: `cluster.recording-unwritable`, `platform.disk-full`, `platform.state-unusable`.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise Fail(RECORDING_UNWRITABLE("something stands there already", Evidence(str(folder), "it is not empty")))
    said: Callable[[str], str] = str if names else _renamed(seen)
    with durable.told(folder):
        durable.folder(folder / "logs")
        durable.write_all(folder / "logs", {_file(said(name)): _log(said(words)) for name, words in seen.logs.items()})
        durable.write_all(folder, {name: _json(_told(value, said)) for name, value in _documents(seen)})


def _documents(seen: Recording) -> Iterator[tuple[str, Any]]:
    by_kind = groupby(sorted(seen.things, key=lambda one: one.kind), key=lambda one: one.kind)
    for kind, them in by_kind:
        whole = {"apiVersion": "v1", "kind": "List", "items": [one.raw for one in them]}
        yield f"{_PLURAL.get(kind, kind.lower())}.json", whole
    looked = {
        "now": day(seen.now),
        "where": seen.where,
        "whole": sorted(seen.whole),
        "unseen": dict(seen.unseen),
        "secrets": {one.said: _of_secret(one) for one in seen.things if one.kind == "Secret"},
    }
    yield LOOKED, looked


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode(errors="replace")


def _told(value: Any, said: Callable[[str], str]) -> Any:
    """Every text in it, and the names of Secrets in `looked.json`, which are keys; no other key is touched."""
    if isinstance(value, Mapping):
        return {said(key) if key.startswith("Secret ") else key: _told(one, said) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_told(one, said) for one in value]
    return said(value) if isinstance(value, str) else value


def _of_secret(secret: Thing) -> dict[str, Any]:
    kept = {"certificates": secret.certificates, "settings": dict(secret.settings), "written": secret.written}
    return {name: wire.encode(value) for name, value in kept.items()}


def _file(name: str) -> str:
    """`log binderhub/hub-1 (previous)` as the name of a file."""
    words = re.sub(r"[^\w.-]+", "_", name.removeprefix("log ").removeprefix("logs/")).strip("_.")
    return f"{words.removesuffix('.log')[-180:]}.log"


def _log(words: str) -> bytes:
    return _LOGIN.sub(r"\1…@", _TOKEN.sub(r"\1…", words)).encode()


def _renamed(seen: Recording) -> Callable[[str], str]:
    """Replaces users' names and mail addresses, each by the same word wherever it stands."""
    users: list[str] = []
    for one in seen.things:
        if one.kind == "Pod" and text(one.labels.get("component")) == "singleuser-server":
            told = (text(values.get(_USER)) for values in (one.labels, one.annotations))
            users += [*told, one.name.removeprefix("jupyter-")]
    kept = _vocabulary(seen)
    users = [one for one in dict.fromkeys(users) if len(one) >= SHORTEST and one not in kept]
    words = {one: f"user-{number}" for number, one in enumerate(users, 1)}
    people: dict[str, str] = {}

    def mail(match: re.Match[str]) -> str:
        return people.setdefault(match[0], f"person-{len(people) + 1}@example.org")

    return lambda whole: _WORD.sub(lambda match: _word(match[0], words), _MAIL.sub(mail, whole))


def _word(word: str, words: Mapping[str, str]) -> str:
    """A name by itself, as a part of a host's name, or behind what Kubernetes and the hub put before it."""
    if word in words:
        return words[word]
    if "." in word:
        return ".".join(_word(part, words) for part in word.split("."))
    ends = (at + 1 for at, sign in enumerate(word) if sign == "-" and word[at + 1 :] in words)
    end = next(ends, None)
    return word if end is None else f"{word[:end]}{words[word[end:]]}"


def _vocabulary(seen: Recording) -> set[str]:
    """Words that mean something to whoever judges it, and may be a user's name too: they stay."""
    labels = {text(value) for one in seen.things if one.metadata for value in one.labels.values()}
    users = {text(one.labels.get(_USER)) for one in seen.things}
    return {*(one.namespace for one in seen.things), *(one.kind for one in seen.things), *(labels - users)}


def sifted(things: list[Thing], looked: Mapping[str, Any]) -> list[Thing]:
    """Secrets with what was kept of them beside. Raises TypeError, ValueError, KeyError for what nobody wrote so."""
    kept = mapping(looked.get("secrets"))
    found = []
    for one in things:
        if one.kind == "Secret" and one.said in kept:
            told = mapping(kept[one.said])
            certificates = wire.decode(tuple[SeenCertificate, ...], told.get("certificates", []))
            settings = {str(key): text(value) for key, value in mapping(told.get("settings")).items()}
            one = replace(one, certificates=certificates, settings=settings, written=float(told.get("written", 0)))  # noqa: PLW2901
        found.append(one)
    return found
