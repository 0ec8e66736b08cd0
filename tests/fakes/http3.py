"""A client of HTTP/3 (RFC 9114), by aioquic: one request of one connection.

status, body = await asked(("127.0.0.1", port), "one.test", "/", cafile)
"""

from __future__ import annotations

import asyncio
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent

LIMIT = 30.0


class _Client(QuicConnectionProtocol):
    """Answers are gathered until their stream ends."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._http = H3Connection(self._quic)
        self.headers: dict[str, str] = {}
        self.body = b""
        self.over = asyncio.Event()

    def ask(self, host: str, path: str) -> None:
        stream = self._quic.get_next_available_stream_id()
        asked = ((":method", "GET"), (":scheme", "https"), (":authority", host), (":path", path))
        self._http.send_headers(stream, [(name.encode(), value.encode()) for name, value in asked], end_stream=True)
        self.transmit()

    def quic_event_received(self, event: QuicEvent) -> None:
        for seen in self._http.handle_event(event):
            if isinstance(seen, HeadersReceived):
                self.headers |= {name.decode(): value.decode() for name, value in seen.headers}
            if isinstance(seen, DataReceived):
                self.body += seen.data
            if isinstance(seen, (HeadersReceived, DataReceived)) and seen.stream_ended:
                self.over.set()


async def asked(place: tuple[str, int], host: str, path: str, roots: str) -> tuple[int, bytes]:
    """Its status and body. `roots`: PEM. Raises ConnectionError, TimeoutError."""
    told = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=host)
    told.load_verify_locations(cadata=roots.encode())
    async with asyncio.timeout(LIMIT), connect(*place, configuration=told, create_protocol=_Client) as client:
        assert isinstance(client, _Client)
        client.ask(host, path)
        await client.over.wait()
        return int(client.headers[":status"]), client.body
