"""Who we are at a registry: a file as `docker login` and a Secret of the kind kubernetes.io/dockerconfigjson have it.

In: the file and a registry's name. Out: a name with a password, or a token. Nothing of it is ever shown.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perijove.domain.failures import Evidence, Fail
from perijove.domain.registry_failures import CREDENTIALS_UNUSABLE

LARGEST = 1 << 20
"""Bytes of such a file."""
OLD_HOMES = {"docker.io": "index.docker.io"}


@dataclass(frozen=True, slots=True)
class Login:
    """Either a name and a password, or a token that others are given for."""

    name: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


def login(file: Path, registry: str) -> Login | None:
    """None where the file has nothing for this registry. Raises Fail: `registry.credentials-unusable`."""
    try:
        with file.open("rb") as opened:
            told = json.loads(opened.read(LARGEST))
    except OSError as error:
        raise _unusable(file, error.strerror or "it cannot be read") from error
    except (ValueError, RecursionError):
        raise _unusable(file, "it is no JSON") from None  # whose words may quote it
    known = told.get("auths", {}) if isinstance(told, dict) else None
    if not isinstance(known, dict):
        raise _unusable(file, "it has no object `auths`")
    names = {registry, OLD_HOMES.get(registry, registry)}
    for written, entry in known.items():
        if written.partition("://")[2].partition("/")[0] in names or written.partition("/")[0] in names:
            return _login(file, written, entry, told)
    return None


def _login(file: Path, written: str, entry: object, told: Mapping[str, Any]) -> Login:
    if not isinstance(entry, dict):
        raise _unusable(file, f"its entry {written!r} is no object")
    if isinstance(token := entry.get("identitytoken"), str) and token:
        return Login(token=token)
    name, password = entry.get("username"), entry.get("password")
    if isinstance(entry.get("auth"), str):
        try:
            name, _, password = b64decode(entry["auth"], validate=True).decode().partition(":")
        except (NotBase64, ValueError):
            raise _unusable(file, f"`auth` of its entry {written!r} is no base64") from None
    if not (isinstance(name, str) and isinstance(password, str) and name):
        helped = told.get("credsStore") or told.get("credHelpers")
        why = "another program keeps it (credsStore, credHelpers)" if helped else "it has no name and no password"
        raise _unusable(file, f"of {written!r}: {why}")
    return Login(name, password)


def _unusable(file: Path, why: str) -> Fail:
    return Fail(CREDENTIALS_UNUSABLE(why, Evidence(str(file), why[:300])))
