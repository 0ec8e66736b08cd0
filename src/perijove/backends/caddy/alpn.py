"""Where does Caddy look for an answer to tls-alpn-01? In: the answer. Out: a file in Caddy's storage. Acts.

Caddy holds the port, so Caddy shows the certificate (RFC 8737, 3): it makes it from what any process that shares its
storage filed there, in the way of its library certmagic when several Caddys stand behind one name.
"""

from __future__ import annotations

import errno
import json
import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from perijove import durable
from perijove.backends.caddy.encryption import server_name
from perijove.domain.certificates import ChallengeAnswer, is_address
from perijove.domain.failures import DISK_FULL, STATE_UNUSABLE, Evidence, Fail
from perijove.domain.state import State


class TlsAlpnSolver:
    """The port `Solver` for tls-alpn-01."""

    def __init__(self, state: State) -> None:
        self._root = state.caddy

    async def present(self, answer: ChallengeAnswer) -> None:
        """Seen by the next handshake. Raises Fail: `platform.disk-full`, `platform.state-unusable`."""
        path = self._path(answer)
        try:
            _write(path, json.dumps(_filed(answer)).encode())
        except OSError as error:
            kind = DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else STATE_UNUSABLE
            seen = Evidence(str(error.filename or path), str(error))
            raise Fail(kind("an answer to tls-alpn-01 cannot be written", seen)) from error

    async def withdraw(self, answer: ChallengeAnswer) -> None:
        """Take it away; nothing where it is not there, or where another answer has taken its place."""
        path = self._path(answer)
        try:
            if json.loads(path.read_bytes()).get("token") != answer.token:
                return
        except (FileNotFoundError, ValueError):
            pass
        path.unlink(missing_ok=True)

    def _path(self, answer: ChallengeAnswer) -> Path:
        folder = self._root / "acme" / component(answer.directory) / "challenge_tokens"
        return folder / f"{_safe(server_name(answer.host))}.json"


def component(directory: str) -> str:
    """An ACME directory's URL as one folder's name, as certmagic writes it: host, port and path joined by hyphens."""
    parts = urlsplit(directory)
    path = re.sub(r"[/\\]", "-", parts.path).strip("-")
    return _safe("-".join(filter(None, (parts.netloc.rpartition("@")[2], path))))


def _safe(name: str) -> str:
    """certmagic's rule for names in its storage."""
    name = name.lower().strip().replace(" ", "_").replace("+", "_plus_").replace("*", "wildcard_")
    return re.sub(r"[^\w@.-]", "", name.replace(":", "-").replace("..", ""), flags=re.ASCII)


def _filed(answer: ChallengeAnswer) -> dict[str, Any]:
    """The challenge as certmagic reads it (RFC 8555, 7.1.4, with the key authorization beside it)."""
    address = is_address(answer.host)
    identifier = {"type": "ip", "value": str(ip_address(answer.host))} if address else {"type": "dns"}
    return {
        "type": "tls-alpn-01",
        "url": "",
        "status": "pending",
        "token": answer.token,
        "keyAuthorization": answer.key_authorization,
        "identifier": {"value": answer.host, **identifier},
    }


def _write(path: Path, content: bytes) -> None:
    """Aside and renamed, so that a handshake just then reads all of it or nothing."""
    durable.folder(path.parent)
    aside = path.with_name(f".{path.name}.aside")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    aside.rename(path)
