"""What is kept of pods that end without a word, or lie about their files, and by a control plane that is killed."""

from __future__ import annotations

import asyncio
import io
import random
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from perijove.backends.kept import KeptOnDisk
from perijove.backends.kubernetes import in_pod
from perijove.backends.kubernetes.keeping import EVERY, LONGEST
from perijove.backends.kubernetes.sessions import KubernetesSessions
from perijove.domain.failures import Fail
from perijove.domain.keeping import LeftOut
from perijove.domain.nouns import EndReason
from perijove.domain.state import State
from tests.contracts.test_kept_work import KEY, TERMS, changed, kept, nothing_left, repo, unzipped
from tests.fakes.confined import Follower, do, spec, until
from tests.fakes.kept_pods import HomeNode, control_plane, home_cluster
from tests.fakes.session_cluster import SessionCluster

World = tuple[SessionCluster, HomeNode, Path]
__all__ = ["repo"]
MINE = "open('mine', 'w').write('mine')"


@pytest.fixture
async def world(state: State) -> AsyncIterator[World]:
    async with home_cluster(state) as world:
        yield world


@pytest.fixture
def works(state: State) -> KeptOnDisk:
    return KeptOnDisk(state, state.keeping)


async def fetched(sessions: KubernetesSessions, state: State, name: str = "one") -> None:
    """What changed so far is, and nothing is under way."""
    await sessions._keeping.snapshot(sessions._pods.now[name])
    assert (state.keeping / f"{name}.sealed").exists()


async def begun(sessions: KubernetesSessions, state: State, repo: Path) -> None:
    """A session, of which a snapshot has `mine`."""
    await sessions.start(spec("one", repo))
    await sessions.keep("one", TERMS)
    await do(state, "one", MINE)
    await fetched(sessions, state)


async def test_a_pod_that_is_killed_without_warning_leaves_its_last_snapshot(
    world: World, state: State, repo: Path, works: KeptOnDisk
) -> None:
    cluster, node, kubeconfig = world
    async with control_plane(state, node, kubeconfig) as sessions:
        await begun(sessions, state, repo)
        await do(state, "one", "open('mine', 'a').write(' and more'); open('later', 'w')")
        await fetched(sessions, state)
        await do(state, "one", "open('lost', 'w').write('never seen')")
        cluster.remove("pods", cluster.pod("one")["metadata"]["name"])
        work = await kept(sessions, works)
        assert unzipped(works, work) == {"mine": b"mine and more", "later": b""}
        await nothing_left(state)


@pytest.mark.parametrize("probes", [True, False], ids=["told by its cluster", "asked for its use"])
async def test_what_a_server_that_ends_by_itself_left_is_fetched_before_its_pod_goes(
    world: World, state: State, repo: Path, works: KeptOnDisk, probes: bool
) -> None:
    cluster, node, kubeconfig = world
    cluster.probes = probes
    async with control_plane(state, node, kubeconfig) as sessions:
        follower = Follower(sessions)
        await begun(sessions, state, repo)
        with pytest.raises(ConnectionError):
            await do(state, "one", "import os; open('last', 'w').write('last'); os._exit(3)")
        if not probes:
            with pytest.raises((ConnectionError, TimeoutError)):
                await sessions.use("one", "/user/one/", "", 0.5)
        ended = await follower.ended("one")  # far sooner than its pod would wait
        assert (ended.reason, ended.exit_code) == (EndReason.EXITED, 3)
        work = await kept(sessions, works)
        assert unzipped(works, work) == {"mine": b"mine", "last": b"last"}


@pytest.mark.parametrize("over", [False, True], ids=["a session goes on", "it ends meanwhile"])
async def test_a_control_plane_that_is_killed_forgets_nobody_s_work(
    world: World, state: State, repo: Path, works: KeptOnDisk, over: bool
) -> None:
    cluster, node, kubeconfig = world
    async with control_plane(state, node, kubeconfig) as sessions:
        await begun(sessions, state, repo)
    (state.unsealed / "one-left").mkdir()
    (state.unsealed / "one-left" / "files.tar").write_text("unsealed")
    if over:
        cluster.remove("pods", cluster.pod("one")["metadata"]["name"])
    async with control_plane(state, node, kubeconfig) as sessions:
        if not over:
            await do(state, "one", "open('more', 'w').write('more')")
            await sessions.stop("one", EndReason.IDLE)
        work = await kept(sessions, works)
    assert unzipped(works, work) == ({"mine": b"mine"} if over else {"mine": b"mine", "more": b"more"})
    assert not [*state.unsealed.iterdir()]


def tar(*members: tarfile.TarInfo | str, content: bytes = b"x") -> bytes:
    told = io.BytesIO()
    with tarfile.open(fileobj=told, mode="w") as files:
        for one in members:
            info = tarfile.TarInfo(one) if isinstance(one, str) else one
            info.size = len(content) if info.isreg() else 0
            files.addfile(info, io.BytesIO(content))
    return told.getvalue()


def special(kind: bytes, name: str = "special", to: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def negative() -> bytes:
    """A header, which says so."""
    info = tarfile.TarInfo("a")
    info.size = -100
    return info.tobuf(tarfile.PAX_FORMAT)


HEAD = b'HTTP/1.1 200 OK\r\nPerijove-Files: {"files": 1, "left_out": {}, "tag": 1}\r\n\r\n'
SLOW, CHUNKED = HEAD + b"it goes on", b"Transfer-Encoding: chunked\r\n\r\n"
HOSTILE = {
    "slow": SLOW,
    "a link": HEAD + tar(special(tarfile.SYMTYPE)),
    "a hard link": HEAD + tar("a", special(tarfile.LNKTYPE, to="a")),
    "through a link": HEAD + tar(special(tarfile.SYMTYPE, "out", "/tmp"), "out/x"),
    "a device": HEAD + tar(special(tarfile.CHRTYPE)),
    "upwards": HEAD + tar("../../../up"),
    "absolute": HEAD + tar("/etc/up"),
    "twice": HEAD + tar("a", "a"),
    "a file as a folder": HEAD + tar("a", "a/b"),
    "more files than asked for": HEAD + tar(*map(str, range(TERMS.files + 1))),
    "larger than asked for": HEAD + tar("a", content=bytes(TERMS.size + 1)),
    "of a negative size": HEAD + negative() + tar("b"),
    "without end": HEAD + bytes(3 * TERMS.size),
    "cut off": HEAD + tar("a", content=bytes(99_999))[:50_000],
    "no tar": HEAD + b"what is a tar?" * 99,
    "not told": b"HTTP/1.1 200 OK\r\n\r\n" + tar("a"),
    "told wrong": HEAD.replace(b"{}", b'{"x": 1}') + tar("a"),
    "more than any number left out": HEAD.replace(b"{}", b'{"MANY": Infinity}') + tar("a"),
    "a tag that is no number": HEAD.replace(b"1}", b"1e999}") + tar("a"),
    "told in depth": HEAD.replace(b"{}", b"[" * 9999) + tar("a"),
    "redirected": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
    "byte by byte": HEAD[:-2] + CHUNKED + b"".join(b"1\r\n%c\r\n" % one for one in tar("a")) + b"0\r\n\r\n",
    "with more cookies than a pod reads": HEAD[:-2] + b"Set-Cookie: a=" + b"x" * in_pod.HEAD + b"\r\n\r\n",
    "no HTTP": b"220 smtp",
    "nothing": b"",
}


@asynccontextmanager
async def lying(cluster: SessionCluster, answer: Callable[[], bytes]) -> AsyncIterator[str]:
    """In place of a pod's files; at which address."""
    address = f"127.77.{random.randint(1, 250)}.{random.randint(1, 250)}"

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            writer.write(said := answer() if len(head) < in_pod.HEAD else b"")
            await writer.drain()
            if said == SLOW:
                await reader.read()
        writer.close()

    async with await asyncio.start_server(answered, address, 8889):
        cluster.change("one", status={**cluster.pod("one")["status"], "podIP": address})
        yield address


async def test_a_pod_that_lies_about_its_files_changes_nothing(
    world: World, state: State, repo: Path, works: KeptOnDisk
) -> None:
    cluster, node, kubeconfig = world
    async with control_plane(state, node, kubeconfig) as sessions:
        await begun(sessions, state, repo)
        before, said = (state.keeping / "one.sealed").read_bytes(), [b""]
        async with lying(cluster, lambda: said[0]) as address:
            await until(lambda: sessions._pods.now["one"].status["podIP"] == address)
            for name, said[0] in HOSTILE.items():
                sessions._keeping.limit = 0.3 if said[0] == SLOW else 30.0
                await sessions._keeping.snapshot(sessions._pods.now["one"])
                assert (state.keeping / "one.sealed").read_bytes() == before, name
                assert not [*state.unsealed.iterdir()], name
            said[0] = HEAD.replace(b"{}", b'{"LINK": 3, "DEEP": 1}') + tar("new")
            await sessions._keeping.snapshot(sessions._pods.now["one"])
        cluster.remove("pods", cluster.pod("one")["metadata"]["name"])
        work = await kept(sessions, works)
        assert (unzipped(works, work), work.left_out) == ({"new": b"x"}, {LeftOut.LINK: 3, LeftOut.DEEP: 1})


async def test_a_slow_pod_holds_a_place_of_others_less_and_less(world: World, state: State, repo: Path) -> None:
    cluster, node, kubeconfig = world
    async with control_plane(state, node, kubeconfig) as sessions:
        await begun(sessions, state, repo)
        keeping, honest = sessions._keeping, sessions._pods.now["one"]
        kept, clock = keeping._sessions["one"], asyncio.get_running_loop().time
        async with lying(cluster, lambda: SLOW) as address:
            await until(lambda: sessions._pods.now["one"].status["podIP"] == address)
            keeping.limit = 0.1
            for _ in range(4):
                await keeping.snapshot(sessions._pods.now["one"])
            keeping.look("one")
            assert EVERY * 10 < kept.due - clock() < 1.25 * LONGEST
        keeping.limit = 30.0
        await keeping.snapshot(honest)
        assert kept.due - clock() < EVERY * 2


async def test_a_look_that_is_asked_for_while_files_are_fetched_comes_after_them(
    world: World, state: State, repo: Path
) -> None:
    cluster, node, kubeconfig = world
    async with control_plane(state, node, kubeconfig) as sessions:
        await begun(sessions, state, repo)
        keeping, asked = sessions._keeping, list[bool]()

        def answer() -> bytes:
            asked.append(keeping._sessions["one"].fetching.locked())
            if len(asked) == 1:
                keeping.look("one")
            return HEAD + tar("a")

        async with lying(cluster, answer) as address:
            await until(lambda: sessions._pods.now["one"].status["podIP"] == address)
            await keeping.snapshot(sessions._pods.now["one"])
            await until(lambda: len(asked) == 2)


async def test_a_pod_that_lies_about_what_it_was_given_is_told_as_one(
    world: World, state: State, repo: Path, works: KeptOnDisk
) -> None:
    cluster, node, kubeconfig = world
    said = b'HTTP/1.1 200 OK\r\n\r\n{"files": Infinity, "beside": [], "no_room": 0, "refused": 0}'
    async with control_plane(state, node, kubeconfig) as sessions:
        await changed(sessions, state, repo, MINE)
        given = await works.opening(await kept(sessions, works), KEY)
        await sessions.start(spec("one", repo))
        async with lying(cluster, lambda: said) as address:
            await until(lambda: sessions._pods.now["one"].status["podIP"] == address)
            with pytest.raises(Fail) as caught:
                await sessions.give_back("one", *given, same_commit=True)
        assert caught.value.failure.kind.code == "session.kept-unreadable"


async def test_the_token_is_in_the_secret_alone(world: World, state: State, repo: Path) -> None:
    cluster, node, kubeconfig = world
    async with control_plane(state, node, kubeconfig) as sessions:
        await sessions.start(spec("one", repo))
        (secret,) = [thing for (plural, _), thing in cluster.things.items() if plural == "secrets"]
        assert secret["stringData"][in_pod.TOKEN] == "files-of-one"
        assert "files-of-one" not in str(cluster.pod("one"))
        code = "import os; answer = [open(f'/proc/{os.getpid()}/environ').read(), dict(os.environ)]"
        assert "files-of-one" not in str(await do(state, "one", code))
        assert "files-of-one" not in cluster.logs["perijove-one"].decode()
