"""One question to a session's server: `api/status`, over its unix socket.

What answers is a stranger's: bounded and distrusted. Out: a `ServerStatus`, or a ConnectionError that says why not.
"""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path

from perijove.domain.nouns import ServerStatus

ANSWER = 64 * 1024
"""Bytes read of an answer."""


async def status(path: Path, base_url: str, token: str) -> ServerStatus:
    """Raises ConnectionError when nobody listens there or the answer is none."""
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER)
    except OSError as error:
        raise ConnectionRefusedError(f"nobody listens at {path.name}: {error.strerror}") from error
    try:
        # HTTP/1.0, so that the answer ends with the connection and comes in one piece
        request = f"GET {base_url}api/status HTTP/1.0\r\nHost: localhost\r\nAuthorization: token {token}\r\n\r\n"
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        body = await _body(reader, head)
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ConnectionResetError(f"the server's answer broke off: {type(error).__name__}") from error
    finally:
        writer.close()
    return _read(head, body)


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    length = ANSWER
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            length = min(int(value), ANSWER)
    body = b""
    while len(body) < length and (piece := await reader.read(length - len(body))):
        body += piece
    return body


def _read(head: bytes, body: bytes) -> ServerStatus:
    words = head.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(words) < 2 or words[1] != b"200":
        raise ConnectionError(f"the server answered {head[:100].decode(errors='replace')!r}")
    try:
        facts = json.loads(body)
        last = datetime.fromisoformat(str(facts["last_activity"])).timestamp()
        return ServerStatus(last, int(facts["connections"]), int(facts["kernels"]))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ConnectionError(f"the server's status cannot be read: {body[:100].decode(errors='replace')!r}") from error
