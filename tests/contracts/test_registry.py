"""An image by its digest, through a confined process: fetched whole and checked, or told what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.confined.client import ConfinedCalls
from perijove.backends.environments.installer import Room
from perijove.backends.environments.system import registry, unpacking
from perijove.domain.confinement import Bounds, Identity
from perijove.domain.failures import Fail
from perijove.domain.state import State
from perijove.domain.system_settings import image
from tests.fakes.registry import Registry, served
from tests.unit.backends.environments.test_unpacking import DIR, FILE, packed, seen

ROOM = Room(1 << 30, 1000)
MIB = 1 << 20

pytestmark = pytest.mark.same_for_any_user


@pytest.fixture
def work(state: State) -> Path:
    folder = state.bases / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def confined(work: Path) -> Iterator[ConfinedCalls]:
    with closing(ConfinedCalls()) as calls:
        calls.hand_over(work, Identity.INSTALLER)
        yield calls


@pytest.fixture
def layers(tmp_path: Path) -> list[bytes]:
    first = packed(tmp_path / "1", [("etc", DIR, ""), ("etc/name", FILE, "first"), ("etc/gone", FILE, "first")])
    second = packed(tmp_path / "2", [("etc/name", FILE, "second"), ("etc/.wh.gone", FILE, "")])
    return [first.read_bytes(), second.read_bytes()]


def bounds(work: Path) -> Bounds:
    return Bounds(Identity.INSTALLER, 60, 60, 512 * MIB, 1 << 30, writes=(work,))


async def pulled(confined: ConfinedCalls, named: str, work: Path, room: Room = ROOM) -> tuple[Path, ...]:
    wanted = image(named)
    assert wanted is not None
    return await confined.run(registry.fetched, wanted, work, room, bounds=bounds(work), tell=print)


async def test_its_layers_come_in_order_and_make_a_tree(
    confined: ConfinedCalls, layers: list[bytes], work: Path
) -> None:
    with served(Registry(layers)) as there:
        files = await pulled(confined, there.image, work)
        assert there.asked.count("/token") == 1
    await confined.call(unpacking.unpacked, files, work / "root", ROOM, bounds=bounds(work))
    assert seen(work / "root") == {"etc/name": "second"}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("tampered", "platform.base-unusable"),
        ("larger", "platform.base-unusable"),
        ("negative", "platform.base-unusable"),
        ("other-machines", "platform.base-unusable"),
        ("odd-manifest", "platform.base-unusable"),
        ("closed", "platform.base-unreachable"),
        ("cut-off", "platform.base-unreachable"),
    ],
)
async def test_a_registry_that_does_wrong_is_told(
    confined: ConfinedCalls, layers: list[bytes], work: Path, fault: str, code: str
) -> None:
    with served(Registry(layers, frozenset({fault}))) as there, pytest.raises(Fail) as caught:
        await pulled(confined, there.image, work)
    assert caught.value.failure.kind.code == code, caught.value.failure


async def test_a_layer_of_a_negative_size_makes_no_room_for_others(
    confined: ConfinedCalls, layers: list[bytes], work: Path
) -> None:
    with served(Registry(layers, frozenset({"negative"}))) as there, pytest.raises(Fail):
        await pulled(confined, there.image, work, replace(ROOM, size=10))
    assert not any("blobs" in path for path in there.asked)


async def test_an_image_that_is_not_there_is_told(confined: ConfinedCalls, layers: list[bytes], work: Path) -> None:
    with served(Registry(layers)) as there, pytest.raises(Fail) as caught:
        await pulled(confined, there.image[:-4] + "0000", work)
    assert caught.value.failure.kind.code == "platform.base-unreachable"
    assert "404" in caught.value.failure.evidence[0].saw


async def test_a_registry_that_is_not_there_is_told(confined: ConfinedCalls, layers: list[bytes], work: Path) -> None:
    with served(Registry(layers)) as there:
        gone = there.image
    with pytest.raises(Fail) as caught:
        await pulled(confined, gone, work)
    assert caught.value.failure.kind.code == "platform.base-unreachable"


async def test_one_that_is_too_large_is_not_fetched(confined: ConfinedCalls, layers: list[bytes], work: Path) -> None:
    with served(Registry(layers)) as there, pytest.raises(Fail) as caught:
        await pulled(confined, there.image, work, replace(ROOM, size=10))
    assert caught.value.failure.kind.code == "build.too-large"
    assert not any("blobs" in path for path in there.asked)
