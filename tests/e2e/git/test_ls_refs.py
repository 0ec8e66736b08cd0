"""Refs by one request are those that git lists, and what git has to ask for is left to it."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from perijove.backends.git.access import Access
from perijove.backends.git.ls_refs import advertised
from perijove.backends.git.trusted import trusted
from perijove.domain.failures import FORBIDDEN_ADDRESS, Fail
from perijove.launching.resolve import refs
from tests.fakes.git_server import Author, Server, serving
from tests.fakes.nginx import self_signed

pytestmark = pytest.mark.same_for_any_user
PLAIN = Access({}, (), private_addresses=True)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Path(tempfile.mkdtemp(prefix="git-server-"))) as server:
        yield server


def by_git(url: str) -> refs.Advertised:
    said = subprocess.run(["git", "ls-remote", "--symref", url], capture_output=True, text=True, check=True).stdout
    return refs.listed(said)


def tagged(author: Author) -> None:
    author.commit({"a": "1"})
    author.git("tag", "light")
    author.git("tag", "-a", "heavy", "-m", "heavy")
    author.git("branch", "other/branch")
    author.push()


def detached(author: Author) -> None:
    commit = author.commit({"a": "1"})
    subprocess.run(["git", "-C", str(author.bare), "update-ref", "--no-deref", "HEAD", commit], check=True)


def pulled(author: Author) -> None:
    commit = author.commit({"a": "1"})
    subprocess.run(["git", "-C", str(author.bare), "update-ref", "refs/pull/7/head", commit], check=True)


def unborn(author: Author) -> None:
    author.commit({"a": "1"})
    subprocess.run(["git", "-C", str(author.bare), "symbolic-ref", "HEAD", "refs/heads/gone"], check=True)


@pytest.mark.parametrize("made", [tagged, detached, pulled, unborn, lambda author: None])
async def test_they_are_the_same(server: Server, made: object) -> None:
    assert callable(made)
    made(server.author("r"))
    server.asked.clear()
    found = await advertised(PLAIN, server.url("r"))
    assert server.asked == ["POST /plain/r/git-upload-pack"]
    assert found == by_git(server.url("r"))


async def test_many_are_the_same(server: Server) -> None:
    author = server.author("r")
    commit = author.commit({"a": "1"})
    packed = "".join(f"{commit} refs/heads/branch-{number:05}\n" for number in range(20_000))
    (author.bare / "packed-refs").write_text(packed)
    found = await advertised(PLAIN, server.url("r"))
    assert found is not None
    assert len(found.refs) > 20_000
    assert found == by_git(server.url("r"))


@pytest.mark.parametrize("manner", ["old", "elsewhere", "away", "login", "lfs"])
async def test_no_plain_answer_is_left_to_git(server: Server, manner: str) -> None:
    server.author("r").commit({"a": "1"})
    server.lfs["r/git-upload-pack"] = b"0000"
    assert await advertised(PLAIN, server.url("r", manner)) is None


async def test_a_host_is_asked_by_its_name_and_believed_by_its_certificate(tmp_path: Path) -> None:
    chain, key = self_signed(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-result\r\n\r\n0000")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as running:
        port = running.sockets[0].getsockname()[1]
        url = f"https://localhost:{port}/r"
        assert await advertised(PLAIN, url) is None, "nobody says who that is"
        assert heads == []
        believing = trusted({"GIT_SSL_CAINFO": str(chain)})
        assert await advertised(PLAIN, url, believing) == refs.Advertised({}, "")
        assert await advertised(PLAIN, url.replace("localhost", "127.0.0.1"), believing) is None, "of another name"
    assert f"host: localhost:{port}\r\n".encode() in heads[0].lower()


async def test_no_answer_and_no_repository_are_left_to_git(server: Server) -> None:
    assert await advertised(PLAIN, server.url("nothing")) is None
    assert await advertised(PLAIN, "http://127.0.0.1:1/r") is None
    assert await advertised(PLAIN, "ssh://git@127.0.0.1/r") is None


async def test_hosts_that_are_not_public_are_not_asked(server: Server) -> None:
    server.author("r").commit({"a": "1"})
    server.asked.clear()
    with pytest.raises(Fail) as refused:
        await advertised(Access({}, (), private_addresses=False), server.url("r"))
    assert refused.value.failure.kind is FORBIDDEN_ADDRESS
    assert server.asked == []
