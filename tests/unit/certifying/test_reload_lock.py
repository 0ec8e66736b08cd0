from __future__ import annotations

import asyncio

from perijove.certifying.reload_lock import ReloadLock


async def test_a_reload_waits_for_the_looks_that_began_and_those_that_come_wait_for_it() -> None:
    lock, told, over = ReloadLock(), list[str](), asyncio.Event()

    async def look(name: str, until: asyncio.Event) -> None:
        async with lock.look():
            told.append(f"{name} begins")
            await until.wait()
        told.append(f"{name} ends")

    async def reload() -> None:
        async with lock.reload():
            told.append("reload")

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(look("first", over), name="first look")
        while not told:
            await asyncio.sleep(0)
        group.create_task(reload(), name="reload")
        await asyncio.sleep(0)
        group.create_task(look("second", over), name="second look")
        await asyncio.sleep(0)
        over.set()
    assert told[:3] == ["first begins", "first ends", "reload"]
    assert sorted(told[3:]) == ["second begins", "second ends"]


async def test_a_look_that_takes_long_holds_no_reload_up() -> None:
    lock = ReloadLock(patience=0.01)
    async with asyncio.timeout(5), lock.look(), lock.reload():
        pass
    async with asyncio.timeout(5), lock.look():
        pass
