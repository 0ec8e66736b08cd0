"""A crowd takes turns, and probes pass it by."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive, Scope, Send

from perijove.web.fair_queue import AT_A_TIME, PASS_BY, FairQueue


async def _receive() -> Message:
    return {"type": "http.disconnect"}


async def _send(message: Message) -> None:
    return None


async def test_a_probe_is_answered_before_the_crowd_that_came_before_it() -> None:
    begun: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["path"])

    queue = FairQueue(app)
    crowd = [f"/launch/{number}" for number in range(1000)]
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for path in (*crowd, *PASS_BY):
            group.create_task(queue({"type": "http", "path": path}, _receive, _send))
        await asyncio.sleep(0)
        assert begun == list(PASS_BY)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(begun) <= len(PASS_BY) + 2 * AT_A_TIME
    assert begun[len(PASS_BY) :] == crowd


async def test_whoever_leaves_while_they_wait_holds_up_nobody() -> None:
    begun: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["path"])

    queue = FairQueue(app)
    asking = [
        asyncio.create_task(queue({"type": "http", "path": f"/{number}"}, _receive, _send)) for number in range(50)
    ]
    await asyncio.sleep(0)
    for one in asking[::2]:
        one.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait(asking)
    assert begun == [f"/{number}" for number in range(1, 50, 2)]
