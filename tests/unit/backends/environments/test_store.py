import os
import shutil
import subprocess
from pathlib import Path

import pytest

from perijove.backends.environments import store
from perijove.backends.environments.store import Note
from perijove.domain.failures import Fail
from perijove.domain.service_failures import STORE_DAMAGED

NOTE = Note("3.12.1", "/usr/bin/python3.12", "/usr", "", "gh/o/r/HEAD at 1a2b3c4", 5.0)


def archived(cache: Path, name: str) -> Path:
    """A package of two files in a cache that looks like uv's."""
    archive = cache / "archive-v0" / name
    archive.mkdir(parents=True)
    for file in ("module.py", "METADATA"):
        (archive / file).write_bytes(b"x" * 10_000)
    return archive


def installed(environment: Path, *archives: Path) -> None:
    environment.mkdir(parents=True)
    for archive in archives:
        for file in archive.iterdir():
            os.link(file, environment / f"{archive.name}-{file.name}")
    store.write(environment, NOTE)


def test_an_environment_counts_only_what_no_other_uses(tmp_path: Path) -> None:
    alone, shared = archived(tmp_path / "cache", "alone"), archived(tmp_path / "cache", "shared")
    environments = tmp_path / "environments"
    installed(environments / "a", alone, shared)
    installed(environments / "b", shared)
    sizes = {found.key: found.size for found in store.stored(environments)}
    assert sizes["a"] - sizes["b"] == 2 * (alone / "METADATA").stat().st_blocks * 512


def test_packages_that_nobody_uses_leave_the_cache_with_their_last_environment(tmp_path: Path) -> None:
    alone, shared = archived(tmp_path / "cache", "alone"), archived(tmp_path / "cache", "shared")
    environments = tmp_path / "environments"
    installed(environments / "a", alone, shared)
    installed(environments / "b", shared)
    store.remove(environments, "a")
    (tmp_path / "cache" / "simple-v15" / "pypi").mkdir(parents=True)
    (tmp_path / "cache" / "wheels-v5" / "pypi").mkdir(parents=True)
    store.drop_unused(tmp_path / "cache")
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["archive-v0", "wheels-v5"]
    assert not alone.exists()
    assert shared.exists()
    assert [found.key for found in store.stored(environments)] == ["b"]


def test_the_latest_used_comes_first(tmp_path: Path) -> None:
    for name in ("a", "b"):
        installed(tmp_path / name)
        os.utime(tmp_path / name / store.NOTE, (1, 1))
    store.use(tmp_path / "b")
    found = store.stored(tmp_path)
    assert [environment.key for environment in found] == ["b", "a"]
    assert found[1].used_at == 1
    assert found[1].created_at == NOTE.created_at


def test_a_folder_without_a_note_is_no_environment(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    assert store.read(tmp_path / "half") is None
    assert store.read(tmp_path / "nowhere") is None
    assert store.stored(tmp_path) == []


@pytest.mark.parametrize("name", [".key.1", ".removed-key-12345.1", ".server-0.1"])
def test_leftovers_of_other_processes_are_swept_and_our_own_are_not(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "deep").mkdir(parents=True)
    ours = tmp_path / f".key.{os.getpid()}"
    ours.mkdir()
    (tmp_path / ".decision.json.aside").write_text("half")
    store.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [ours]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00\xff\xfe", id="no characters"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"9" * 10_000, id="a long number"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b"{}", id="no values"),
        pytest.param(b'{"python": "3", "surprise": 1}', id="other values"),
        pytest.param(
            b'{"python":3,"executable":[],"prefix":{},"app":null,"made_from":"","created_at":""}', id="other types"
        ),
        pytest.param(None, id="a folder"),
    ],
)
def test_a_note_that_is_garbage_is_told_with_the_command_that_takes_it_away(
    tmp_path: Path, content: bytes | None
) -> None:
    installed(tmp_path / "good")
    note = tmp_path / "bad" / store.NOTE
    if content is None:
        note.mkdir(parents=True)
    else:
        note.parent.mkdir()
        note.write_bytes(content)
    with pytest.raises(Fail) as caught:
        store.read(tmp_path / "bad")
    assert caught.value.failure.kind is STORE_DAMAGED
    assert [path for path, _ in store.damaged(tmp_path)] == [tmp_path / "bad"]
    assert [one.key for one in store.stored(tmp_path)] == ["good"]
    subprocess.run(["sh", "-ec", caught.value.failure.remedy.split("`")[1]], check=True)
    assert store.read(tmp_path / "bad") is None


def test_what_is_left_goes_though_something_still_writes_into_it_for_a_while(tmp_path: Path) -> None:
    left, tries = tmp_path / ".base.1", list[Path]()

    def remove(folder: Path) -> None:
        tries.append(folder)
        shutil.rmtree(folder)
        if len(tries) < 3:  # as a sandbox does that has not ended yet
            folder.mkdir()

    left.mkdir()
    store.remove_left(left, remove)
    assert (tries, left.exists()) == ([left] * 3, False)
