"""Strangers at the web's edge: their pages begin nothing, they learn no name, and they slow nobody."""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from perijove.backends import statedir
from perijove.domain.state import State
from perijove.web.front import rows
from perijove.web.readers import PER_LAUNCH
from tests.architecture.sources import ROOT
from tests.e2e.service import Service, Session, running, until
from tests.unit.web.conftest import Web
from tests.ways.conftest import World

pytestmark = [pytest.mark.same_for_any_user, pytest.mark.e2e]

LINES = 330
READERS = 1000
ASKING = 500
WITHIN = 1.0
"""Seconds in which /health answers, whatever strangers do."""
SHARE = 3
"""On a machine so busy that the crowd itself takes long: the part of its time in which /health answers."""
SECRET = "a-secret-of-the-repository"
CONFIG = f"for number in range({LINES}):\n    print('{SECRET}', number, flush=True)\n"
EVIL = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
STREAM = {"Accept": "text/event-stream"}
BROWSER = {"Accept": "text/html", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    yield from running(module_state)


@dataclass(frozen=True)
class Launched:
    """A launch of somebody else's."""

    number: int
    session: Session
    names: tuple[str, ...]
    """What only they may know."""


@pytest.fixture(scope="module")
def launched(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Launched:
    folder = tmp_path_factory.mktemp("their-private-work")
    config = folder / ".jupyter" / "jupyter_server_config.py"
    config.parent.mkdir()
    config.write_text(CONFIG)
    events = service.launch(str(folder))
    session = Session(events[-1]["url"])
    number = json.loads(service.cli("get", "launches", "-o", "json"))[0]["number"]
    environment = next(one["event"]["environment"] for one in events if one["event"]["is"] == "Built")
    commit = next(one["event"]["repo"]["commit"] for one in events if one["event"]["is"] == "Resolved")
    return Launched(number, session, (session.name, session.token, SECRET, folder.name, environment, commit))


def asked(service: Service, path: str, headers: dict[str, str]) -> httpx.Response:
    return httpx.get(service.url + path.lstrip("/"), headers=headers, timeout=30, trust_env=False)


def numbers(service: Service) -> list[int]:
    return [one["number"] for one in json.loads(service.cli("get", "launches", "-o", "json"))]


def test_another_site_s_page_and_another_site_s_name_begin_nothing(service: Service, launched: Launched) -> None:
    before = numbers(service)
    link = "git/http%3A%2F%2F127.0.0.1%3A1%2Fevil/HEAD"
    port = {"Host": f"127.0.0.1:{service.port}"}
    for headers in (
        EVIL,
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": f"http://{launched.session.name}.localhost:{service.port}"},
        {"User-Agent": "Mozilla/5.0"},
    ):
        told = asked(service, f"/build/{link}", STREAM | port | headers)
        assert "start.foreign-page" in told.text, headers
        assert "access-control-allow-origin" not in told.headers
    for host in ("evil.example", "localhost.evil.example", "evil.example:8000", "127.0.0.1.evil.example"):
        assert "start.wrong-host" in asked(service, f"/build/{link}", STREAM | {"Host": host}).text
        assert asked(service, f"/v2/{link}", BROWSER | {"Host": host}).status_code == 421
    begin = re.search(r'name="begin" value="([^"]+)"', asked(service, f"/v2/{link}", BROWSER).text)
    assert begin is not None
    assert 'name="begin"' in asked(service, f"/v2/{link}?begin={begin[1]}", BROWSER | EVIL).text
    assert numbers(service) == before


async def test_a_stranger_is_told_no_name_at_any_address(service: Service, launched: Launched, tmp_path: Path) -> None:
    async with Web(World(tmp_path)).up() as web:
        paths = {row.path for row in rows(web.public)}
    filled = {
        re.sub(r"\{[a-z]+:?[a-z]*\}", str(launched.number), path).replace(f"/user/{launched.number}", user)
        for path in paths
        for user in ("/user/nobody-x1y2z3a4", f"/user/{launched.number}")
    }
    wrong = "0" * 24
    for path in sorted(filled):
        for query in ("", f"?key={wrong}&token={wrong}&after=0"):
            for accept in ("text/html", "application/json", "text/event-stream"):
                headers = {"Accept": accept, "Cookie": f"perijove_launch={wrong}", "Last-Event-ID": f"1.{wrong}"}
                answer = asked(service, path + query, headers if "/build/" not in path else {"Accept": accept})
                told = f"{answer.headers} {answer.text}"
                assert not [name for name in launched.names if name in told], (path, query, accept)


def test_a_session_that_is_over_tells_a_stranger_that_it_is(service: Service, tmp_path: Path) -> None:
    (tmp_path / "gone-work").mkdir()
    session = service.session(str(tmp_path / "gone-work"))
    service.cli("stop", session.name)
    own = {"Host": f"{session.name}.localhost:{service.port}"}
    until(lambda: asked(service, f"/user/{session.name}/lab", BROWSER | own).status_code == 424)
    for accept in ("text/html", "*/*"):
        told = asked(service, f"/user/{session.name}/lab", {"Accept": accept, **own}).text
        assert "over" in told
        assert not [name for name in ("gone-work/", "stopped", "operator") if name in told.replace(session.name, "")]
    proved = asked(service, f"/user/{session.name}/lab", {"Accept": "*/*", **session.headers}).json()
    assert proved["session"]["reason"] == "stopped"


def test_a_thousand_readers_slow_nobody(service: Service, launched: Launched) -> None:
    key = statedir.keys(service.state).launch_key(launched.number)
    path = f"/api/launches/{launched.number}/events?key={key}"
    command = [sys.executable, "-m", "tests.attack.reading_many", str(service.port), path, str(READERS)]
    slowest, count, crowd = 0.0, 0, time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as reading:
        while reading.poll() is None:
            began = time.monotonic()
            assert asked(service, "/health", {}).status_code == 200
            slowest, count = max(slowest, time.monotonic() - began), count + 1
        took = time.monotonic() - crowd
        assert reading.stdout is not None
        told = json.loads(reading.stdout.read())
    seen = [frames for status, frames in told if status == 200]
    print(f"\n{len(seen)} of {READERS} had a seat, {took:.1f} s; the slowest of {count} looks took {slowest:.2f} s")
    assert reading.returncode == 0
    assert {status for status, _ in told} <= {200, 503}
    assert len(seen) >= PER_LAUNCH
    assert min(seen) > LINES
    assert count > 1
    assert slowest < max(WITHIN, took / SHARE)


async def test_five_hundred_at_once_do_not_turn_health_red(service: Service) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=60, limits=httpx.Limits(max_connections=ASKING)) as client:
        names = ["health", "metrics"] * (ASKING // 2)
        answers = await asyncio.gather(*(client.get(service.url + name) for name in names))
    assert {answer.status_code for answer in answers} == {200}


PIECES = (
    "", "/", "//", "..", "%2e%2e", "%00", "%0d%0aX: y", "é", "%ff", "'", '"><script>', "{}", "[", "0", "-1", "9" * 40,
    "gh", "git", "gl", "gist", "local", "owner", "HEAD", "launch", "user", "build", "v2", "api", "launches", "events",
    "https%3A%2F%2F127.0.0.1%3A1%2Fx", "?", "&", "=", "key", "token", "after", "urlpath", "link=gh/o/r", "\t",
    "a" * 3000,
)  # fmt: skip
HEADERS = ("Accept", "Host", "Origin", "Sec-Fetch-Site", "Cookie", "Last-Event-ID", "Authorization", "X-Forwarded-For",
           "X-Forwarded-Proto", "X-Forwarded-Host", "Content-Type", "User-Agent", "Range", "If-None-Match")  # fmt: skip
VALUES = (
    "", "*/*", "text/html", "text/event-stream", "null", "https://evil.example", "cross-site", "none", "1.x", "9" * 30,
    "0.refused", "1." + "a" * 64, "perijove_launch=; perijove_launch", "=;=;", "token ", "\xe9", "::1", "127.0.0.1",
    "[::", "localhost:", "a" * 3000, "bytes=0-", "https, http",
)  # fmt: skip
METHODS = ("GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW")


def drawn(chance: random.Random, paths: list[str]) -> bytes:
    """One request of any kind."""
    path = re.sub(r"\{[^}]*\}", lambda _: chance.choice(PIECES), chance.choice(paths))
    target = path + "".join(chance.choice(PIECES) for _ in range(chance.randrange(4)))
    names = chance.sample(HEADERS, chance.randrange(5))
    lines = [f"{name}: {chance.choice(VALUES)}" for name in names if name != "Host" or chance.random() < 0.3]
    if not any(one.startswith("Host:") for one in lines):
        lines.append("Host: localhost")
    target = re.sub(r"[\s\x00-\x20]", "%20", target) or "/"
    request = [f"{chance.choice(METHODS)} {target} HTTP/1.1", *lines, "Connection: close", "", ""]
    return "\r\n".join(request).encode("latin-1")


async def test_whatever_is_asked_there_is_never_a_mistake_of_ours(
    service: Service, launched: Launched, tmp_path: Path, attack_seconds: float, chance: random.Random
) -> None:
    async with Web(World(tmp_path)).up() as web:
        paths = sorted({row.path for row in rows(web.public)})
    count, until_ = 0, time.monotonic() + attack_seconds / 3
    while time.monotonic() < until_:
        request = drawn(chance, paths)
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(request)
        try:
            async with asyncio.timeout(10):
                head = await reader.read(65536)
        except TimeoutError:
            head = b""
        except ConnectionResetError:
            head = b"HTTP/1.1 400"
        finally:
            writer.close()
        assert not re.match(rb"HTTP/1.1 5(?!03)", head), (request, head[:2000])
        assert b"internal.bug" not in head, (request, head[:2000])
        assert not [name for name in launched.names if name.encode() in head], request
        count += 1
    print(f"\n{count} requests")
    assert count > 100
