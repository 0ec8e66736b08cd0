"""Whom the service believes where it asks hosts that operators name. Out: a TLS context, for httpx. Acts."""

from __future__ import annotations

import asyncio
import os
import ssl
from functools import lru_cache

import certifi
import httpx


async def believed() -> ssl.SSLContext:
    """httpx's own, kept until its file changes: the event loop stood still for 30 ms and more at each request."""
    return await asyncio.to_thread(_read)


def _read() -> ssl.SSLContext:
    named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or certifi.where()
    try:
        changed = os.stat(named).st_mtime_ns
    except OSError:
        changed = 0  # httpx says what is wrong with it
    return _made(named, changed)


@lru_cache(maxsize=1)
def _made(named: str, changed: int) -> ssl.SSLContext:
    return httpx.create_ssl_context()
