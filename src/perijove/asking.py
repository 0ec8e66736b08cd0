"""Questions to a session's server, wherever it listens: `api/status`, and how it is used.

What answers is a stranger's: bounded and distrusted. Out: a `ServerStatus` or a `ServerUse`, or a ConnectionError that
says why not.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from perijove.domain.activity import NO_NOTICES, Ending, Notices, ServerStatus, ServerUse
from perijove.domain.nouns import SessionName

ANSWER = 64 * 1024
"""Bytes read of an answer."""
USE = re.compile(
    rb"\r\nX-Perijove-Use: used=(?P<used>\d{1,12}\.\d{3}) pages=(?P<pages>\d{1,9}) apps=(?P<apps>\d{1,9})\r\n",
    re.IGNORECASE,
)
"""The header of `server_usage`."""
ENDING = "X-Perijove-Ending"
"""Tells it when it is stopped unless something happens."""
SAID = 1000
"""Letters of what is told; a stranger's may be among them."""
NOTICES = "X-Perijove-Notices"
"""Tells it what its pages shall tell beside that."""
VARIABLES = "X-Perijove-Variables"
"""Tells it what it was launched for: JSON, of which it says how many it has taken."""
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Open = Callable[[SessionName, int], Awaitable[Connection]]
"""A connection to a session's server, whose reader buffers so many bytes. Raises ConnectionRefusedError."""


class Servers:
    """Those of all sessions."""

    def __init__(self, opened: Open) -> None:
        self._opened = opened

    async def status(self, session: SessionName, base_url: str, token: str, limit: float) -> ServerStatus:
        """Waits until the server answers. Raises TimeoutError, and ConnectionError when the answer is none."""
        async with asyncio.timeout(limit):
            _, facts = await self._asked(session, f"{base_url}api/status", token)
        try:
            last = datetime.fromisoformat(str(facts["last_activity"])).timestamp()
            return ServerStatus(last, int(facts["connections"]), int(facts["kernels"]))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise _unreadable(facts) from error

    async def use(
        self, session: SessionName, base_url: str, token: str, limit: float, notices: Notices = NO_NOTICES
    ) -> ServerUse:
        """Raises as `status`. A server of before, or none of Jupyter's, tells of its kernels alone."""
        # Our asking shall not count as anybody's.
        told = f"{ENDING}: {_ends(notices.ending)}\r\n{NOTICES}: {_noticed(notices)}\r\n"
        async with asyncio.timeout(limit):
            head, facts = await self._asked(session, f"{base_url}api/kernels?no_track_activity=1", token, told)
        try:
            busy = sum(kernel["execution_state"] == "busy" for kernel in facts)
            connections = sum(int(kernel["connections"]) for kernel in facts)
            if use := USE.search(head):
                return ServerUse(busy, int(use["apps"]), max(int(use["pages"]), connections), float(use["used"]))
            last = [datetime.fromisoformat(str(kernel["last_activity"])).timestamp() for kernel in facts]
            return ServerUse(busy, 0, connections, max(last, default=0))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise _unreadable(facts) from error

    async def set_variables(
        self, session: SessionName, base_url: str, token: str, variables: Mapping[str, str], limit: float
    ) -> None:
        """Raises as `status`, and ConnectionError where it does not take them."""
        told = f"{VARIABLES}: {json.dumps(dict(variables))}\r\n"
        async with asyncio.timeout(limit):
            head, _ = await self._asked(session, f"{base_url}api/kernels?no_track_activity=1", token, told)
        if f"\r\n{VARIABLES}: {len(variables)}\r\n".lower().encode() not in head.lower():
            raise ConnectionError("the server does not know the variables of its session")

    async def _asked(self, session: SessionName, url: str, token: str, headers: str = "") -> tuple[bytes, Any]:
        """The head of the answer, and what its JSON says."""
        reader, writer = await self._opened(session, ANSWER)
        try:
            # HTTP/1.0, so that the answer ends with the connection and comes in one piece
            request = f"GET {url} HTTP/1.0\r\nHost: localhost\r\nAuthorization: token {token}\r\n{headers}\r\n"
            writer.write(request.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            body = await _body(reader, head)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise ConnectionResetError(f"the server's answer broke off: {type(error).__name__}") from error
        finally:
            writer.close()
        return head, _read(head, body)


def _ends(ending: Ending | None) -> str:
    return f"at={ending.at:.0f} reason={ending.reason}" if ending else ""


def _noticed(notices: Notices) -> str:
    """One line of ASCII."""
    shares = {one.setting.partition(".")[2]: (one.used, one.allowed) for one in notices.shares}
    troubles = [{"at": round(one.at, 3), "says": one.failure.message[:SAID]} for one in notices.troubles]
    told = notices.message
    message = {"at": round(told.at, 3), "until": round(told.until, 3), "says": told.text} if told else None
    return json.dumps({"shares": shares, "troubles": troubles, "message": message})


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    length = ANSWER
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and re.fullmatch(rb"[0-9]{1,9}", value.strip()):
            length = min(int(value), ANSWER)
    body = b""
    while len(body) < length and (piece := await reader.read(length - len(body))):
        body += piece
    return body


def _read(head: bytes, body: bytes) -> Any:
    words = head.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(words) < 2 or words[1] != b"200":
        raise ConnectionError(f"the server answered {head[:100].decode(errors='replace')!r}")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ConnectionError(f"the server's answer cannot be read: {body[:100].decode(errors='replace')!r}") from error


def _unreadable(facts: object) -> ConnectionError:
    return ConnectionError(f"the server's answer says something else: {str(facts)[:100]!r}")
