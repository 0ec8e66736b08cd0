"""What a build's pod hands over may be anything: of it comes what was asked for, and nothing beside it."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.kubernetes.handed_over import Ended, unpacked
from perijove.backends.kubernetes.in_job import CHANGES, ENDED
from perijove.domain.failures import Fail
from tests.fakes.confined import LIMITS, MIB

TELLS = json.dumps({"status": 3, "killed": 1, "too_large": False, "short": ""}).encode()
LAYERS = ("home", "layer-0")
Entry = tuple[str, bytes, dict[str, object]]


def tar(*entries: Entry) -> bytes:
    """Names, contents, and what else their heads say."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name, content, told in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in told.items():
                setattr(info, key, value)
            made.addfile(info, io.BytesIO(content))
    return written.getvalue()


def file(name: str, content: bytes = b"x", **told: object) -> Entry:
    return name, content, told


def link(name: str, leads: str) -> Entry:
    return name, b"", {"type": tarfile.SYMTYPE, "linkname": leads}


def device(name: str, major: int, minor: int) -> Entry:
    return name, b"", {"type": tarfile.CHRTYPE, "devmajor": major, "devminor": minor}


@pytest.fixture
def taken(tmp_path: Path) -> Callable[..., Ended | None]:
    """What becomes of such a file, below `into`."""

    def take(handed: bytes, tops: tuple[str, ...] = LAYERS, **less: int) -> Ended | None:
        (tmp_path / "handed").write_bytes(handed)
        (tmp_path / "into").mkdir()
        return unpacked(tmp_path / "handed", tmp_path / "into", tops, replace(LIMITS, **less))

    return take


def whole(*changes: Entry) -> bytes:
    return tar(file(CHANGES, tar(*changes)), file(ENDED, TELLS))


def test_layers_come_as_they_were_written(taken: Callable[..., Ended | None], tmp_path: Path) -> None:
    folder = ("layer-0/lib", b"", {"type": tarfile.DIRTYPE, "mode": 0o555, "mtime": 1000.0})
    entries = (folder, file("layer-0/lib/a", b"new", mode=0o6755, mtime=1234.5), link("home/l", "/etc/shadow"))
    assert taken(whole(*entries, device("layer-0/gone", 0, 0))) == Ended(3, 1, too_large=False, short="")
    into = tmp_path / "into"
    assert (into / "layer-0/lib/a").read_bytes() == b"new"
    assert (into / "layer-0/lib/a").stat().st_mode & 0o7777 == 0o755
    assert (into / "layer-0/lib").stat().st_mtime == 1000
    assert os.readlink(into / "home/l") == "/etc/shadow"
    assert (into / "layer-0/gone").lstat().st_rdev == 0


@pytest.mark.parametrize(
    "changes",
    [
        (file("../evil"),),
        (file("/evil"),),
        (file("home/../../evil"),),
        (file("home//evil"),),
        (file("other/evil"),),
        (link("home/out", "/tmp"), file("home/out/evil")),
        (link("home/out", ".."), file("home/out")),
        (file("home/a"), file("home/a")),
        (file("home/a"), file("home/a/b")),
        (file("home/a", mtime=1e300),),
        (file("home/" + "n" * 300),),
    ],
    ids=["up", "absolute", "dots", "empty", "beside", "through", "over", "twice", "below", "time", "name"],
)
def test_what_leads_elsewhere_breaks_it_off(
    taken: Callable[..., Ended | None], tmp_path: Path, changes: tuple[Entry, ...]
) -> None:
    with pytest.raises(Fail) as caught:
        taken(whole(*changes))
    assert caught.value.failure.kind.code == "start.sandbox-failed"
    assert not [path for path in tmp_path.rglob("evil*") if path.exists()]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["handed", "into"]


@pytest.mark.parametrize("entry", [device("result/d", 1, 3), device("result/d", 0, 0), link("result/d", "/etc")])
def test_a_result_has_files_alone(taken: Callable[..., Ended | None], tmp_path: Path, entry: Entry) -> None:
    taken(whole(entry, ("result/p", b"", {"type": tarfile.FIFOTYPE}), file("result/good")), ("result",))
    assert [path.name for path in (tmp_path / "into/result").iterdir()] == ["good"]


@pytest.mark.parametrize(
    ("changes", "disk"),
    [((file("home/a", bytes(2 * MIB)),), MIB), (tuple(file(f"home/{n}") for n in range(17_000)), MIB)],
    ids=["bytes", "files"],
)
def test_what_is_more_than_may_be_kept_is_too_large(
    taken: Callable[..., Ended | None], changes: tuple[Entry, ...], disk: int
) -> None:
    with pytest.raises(Fail) as caught:
        taken(whole(*changes), disk=disk)
    assert caught.value.failure.kind.code == "build.too-large"


@pytest.mark.parametrize(
    "told", [b"", b"[]", b"{", b"\xff", b"[" * 60_000], ids=["none", "list", "cut", "bytes", "deep"]
)
def test_what_does_not_say_how_it_ended_is_refused(taken: Callable[..., Ended | None], told: bytes) -> None:
    with pytest.raises(Fail):
        taken(tar(file(ENDED, told)))


@pytest.mark.parametrize(
    "handed", [b"nothing of a tar", whole(file("home/a", bytes(5000)))[:3000]], ids=["none", "cut"]
)
def test_what_is_cut_off_is_refused(taken: Callable[..., Ended | None], handed: bytes) -> None:
    with pytest.raises(Fail):
        taken(handed)


def test_a_negative_size_makes_no_room_for_others(taken: Callable[..., Ended | None]) -> None:
    head = tarfile.TarInfo("home/a")
    head.size = -511
    with pytest.raises(Fail):
        taken(tar(file(CHANGES, head.tobuf(tarfile.PAX_FORMAT) + tar(file("home/b")))))


def test_where_it_does_not_say_how_it_ended_nobody_knows(taken: Callable[..., Ended | None]) -> None:
    assert taken(tar(file("other", TELLS))) is None
