"""What a gate lets through, and what it keeps: the program itself, before a session that says what it was asked."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tornado import httpserver, netutil, web, websocket
from websockets.asyncio.client import connect

from perijove.spawner import GATE
from tests.fakes.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]

HUBS, OWN = "a-token-of-the-hub", "the-token-of-the-session"
STATIC = "server-0123456789abcdef"


class Hub(web.RequestHandler):
    """Says who has a token, in the fields that JupyterHub 6 answers with and `jupyterhub.services.auth` reads."""

    def get(self) -> None:
        if self.request.headers["Authorization"] != f"token {HUBS}":
            raise web.HTTPError(403)
        self.write({"kind": "user", "name": "ada", "scopes": ["access:servers!server=ada/"]})


class Session(websocket.WebSocketHandler):
    """Answers with what it was asked."""

    async def get(self, *_: str) -> None:
        if "Upgrade" in self.request.headers:
            await super().get()
            return
        self.set_status(207)
        for cookie in ("app=1", "_xsrf=2; Path=/", "jupyterhub-user-ada=3"):
            self.add_header("Set-Cookie", cookie)
        self.write({"uri": self.request.uri, "headers": dict(self.request.headers.get_all())})

    def post(self) -> None:
        self.write({"body": self.request.body.decode()})

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return subprotocols[-1]

    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message, binary=isinstance(message, bytes))


@asynccontextmanager
async def gate(folder: Path) -> AsyncIterator[str]:
    """The address of one that runs."""
    hub, port, path = free_port(), free_port(), folder / "session.sock"
    static = folder / STATIC / "share" / "static"
    static.mkdir(parents=True)
    (static / "lab.js").write_text("plain")
    servers = [httpserver.HTTPServer(web.Application([(".*/api/user", Hub)]))]
    servers += [httpserver.HTTPServer(web.Application([(".*", Session)]))]
    servers[0].listen(hub, "127.0.0.1")
    servers[1].add_socket(netutil.bind_unix_socket(str(path)))
    environ = {
        "JUPYTERHUB_SERVICE_PREFIX": "/user/ada/",
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}/user/ada/",
        "JUPYTERHUB_API_URL": f"http://127.0.0.1:{hub}/hub/api",
        "JUPYTERHUB_API_TOKEN": "of the server",
        "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-ada",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": '["access:servers!server=ada/"]',
        "PERIJOVE_SESSION_SOCKET": str(path),
        "PERIJOVE_SESSION_TOKEN": OWN,
        "PERIJOVE_TOOLS": str(folder),
        "PERIJOVE_OPENS": "doc/tree/a.ipynb",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(GATE), env={"PATH": os.environ["PATH"], **environ}
    )
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.wait([asyncio.ensure_future(process.wait())], timeout=0.05)
                    assert process.returncode is None
                else:
                    writer.close()
                    break
        yield f"http://127.0.0.1:{port}/user/ada"
    finally:
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
        for server in servers:
            server.stop()
            await server.close_all_connections()


def asking(token: str) -> dict[str, str]:
    return {"Authorization": f"token {token}"}


@pytest.mark.timeout(120)
async def test_a_gate_lets_in_whom_the_hub_lets_in_and_keeps_what_is_the_hubs(tmp_path: Path) -> None:
    async with gate(tmp_path) as at, httpx.AsyncClient(trust_env=False) as http:
        cookies = "jupyterhub-session-id=x; app=1; __Host-jupyterhub-user-ada=y; _xsrf=z"
        got = await http.get(f"{at}/a%20b?token={HUBS}&q=%2F", headers=asking(HUBS) | {"Cookie": cookies})
        asked: dict[str, Any] = got.json()
        assert got.status_code == 207
        assert asked["uri"] == "/user/ada/a%20b?q=%2F"
        assert asked["headers"]["Authorization"] == f"token {OWN}"
        assert asked["headers"]["Cookie"] == "app=1"
        assert HUBS not in got.text
        assert [one for one in got.headers.get_list("set-cookie") if "app=1" in one or "=2" in one or "=3" in one] == [
            "app=1"
        ]
        posted = await http.post(f"{at}/api/kernels", headers=asking(HUBS), content=b"words")
        assert posted.json() == {"body": "words"}
        assert (await http.get(f"{at}/", headers=asking(HUBS))).headers["Location"] == "/user/ada/doc/tree/a.ipynb"

        for refused in (OWN, "another"):
            assert (await http.get(f"{at}/api", headers=asking(refused))).status_code == 403
        assert (await http.post(f"{at}/api/kernels")).status_code == 403
        led = await http.get(f"{at}/lab")
        assert led.status_code == 302
        assert "oauth2/authorize" in led.headers["Location"]
        assert (await http.get(f"{at}/-/{STATIC}/lab.js")).text == "plain"
        assert (await http.get(f"{at}/-/{STATIC}/..%2F..%2Fx")).status_code in (302, 403, 404)

        address = f"{at.replace('http', 'ws', 1)}/api/kernels/1/channels"
        async with connect(address, additional_headers=asking(HUBS), subprotocols=["v0", "v1"], proxy=None) as there:  # type: ignore[list-item]
            assert there.subprotocol == "v1"
            for message in ("words", b"\x00\xff"):
                await there.send(message)
                assert await there.recv() == message
