"""A kernel of a session, spoken to as a page speaks to it: one websocket, all channels."""

from __future__ import annotations

import ast
import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.service import Session

LIMIT = 60.0


@dataclass
class Said:
    """What a request came to."""

    reply: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The contents of its messages of one kind."""
        return [message["content"] for message in self.messages if message["msg_type"] == kind]


class Talk:
    """One conversation with a kernel."""

    def __init__(self, channel: ClientConnection) -> None:
        self._channel = channel
        self._session = uuid.uuid4().hex
        self._others: list[dict[str, Any]] = []
        """What has come for other requests than the one that is waited for."""
        self.events: list[dict[str, Any]] = []
        """What the debugger told unasked."""

    async def send(self, kind: str, content: dict[str, Any], channel: str = "shell", subshell: str = "") -> str:
        """Ask without waiting; the request's id."""
        asked = uuid.uuid4().hex
        header = {"msg_id": asked, "username": "", "session": self._session, "msg_type": kind, "version": "5.3"}
        header |= {"date": "", **({"subshell_id": subshell} if subshell else {})}
        message = {"header": header, "parent_header": {}, "metadata": {}, "channel": channel, "buffers": []}
        await self._channel.send(json.dumps(message | {"content": content}))
        return asked

    async def ask(self, kind: str, content: dict[str, Any], channel: str = "shell", subshell: str = "") -> Said:
        """Ask, and wait until all is answered."""
        return await self.answered(await self.send(kind, content, channel, subshell))

    async def answered(self, asked: str, until: str = "", answer: str = "") -> Said:
        """What a request comes to; or as far as a message of the kind `until`. `input` is answered with `answer`."""
        said, idle = Said(), False
        waiting = [message for message in self._others if message["parent_header"].get("msg_id") == asked]
        self._others = [message for message in self._others if message not in waiting]
        async with asyncio.timeout(LIMIT):
            while not (said.reply and idle):
                message = waiting.pop(0) if waiting else json.loads(await self._channel.recv())
                if message["msg_type"] == "debug_event":
                    self.events.append(message["content"])
                if message["parent_header"].get("msg_id") != asked:
                    self._others.append(message)
                    continue
                said.messages.append(message)
                kind, content = message["msg_type"], message["content"]
                if kind == "stream":
                    said.text += content["text"]
                if kind == "input_request":
                    await self.send("input_reply", {"value": answer}, "stdin")
                if kind.endswith("_reply"):
                    said.reply = content
                if kind == "status":
                    idle = content["execution_state"] == "idle"
                if kind == until:
                    return said
        return said

    async def heard(self, kind: str) -> None:
        """Wait for the next message of a kind, whatever it is an answer to."""
        async with asyncio.timeout(LIMIT):
            while (message := json.loads(await self._channel.recv()))["msg_type"] != kind:
                self._others.append(message)

    async def runs(self, code: str, subshell: str = "") -> str:
        """Have some code begun; the request's id."""
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": True, "stop_on_error": True}
        return await self.send("execute_request", {**content, "user_expressions": {}}, subshell=subshell)

    async def run(self, code: str, answer: str = "", subshell: str = "") -> Said:
        """Run some code to its end."""
        return await self.answered(await self.runs(code, subshell), answer=answer)

    async def value(self, code: str) -> Any:
        """What some code's last expression is, where a program can be written that says it."""
        said = await self.run(code)
        assert said.reply["status"] == "ok", said.reply
        return ast.literal_eval(said.of("execute_result")[0]["data"]["text/plain"])

    async def debug(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The debugger's answer."""
        request = {"type": "request", "seq": 1, "command": command, "arguments": arguments}
        return (await self.ask("debug_request", request, "control")).reply


@asynccontextmanager
async def talking(session: Session, kernel: str) -> AsyncIterator[Talk]:
    """A conversation with one of a session's kernels."""
    address = f"{session.base.replace('http', 'ws', 1)}api/kernels/{kernel}/channels"
    async with connect(address, proxy=None, max_size=None, additional_headers=session.headers) as channel:
        yield Talk(channel)


def post(session: Session, at: str, /, **body: Any) -> httpx.Response:
    """A request to a session's server that must be granted."""
    answer = httpx.post(session.base + at, headers=session.headers, json=body, timeout=60, trust_env=False)
    answer.raise_for_status()
    return answer


def open_page(session: Session) -> None:
    """As a browser does, at the session's own host."""
    host = f"{session.name}.localhost:{urlsplit(session.base).port}"
    headers = {**session.headers, "Accept": "text/html", "Host": host}
    httpx.get(session.base + "lab", headers=headers, timeout=60, trust_env=False).raise_for_status()
