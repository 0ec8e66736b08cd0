"""Which uids sandboxes get."""

from __future__ import annotations

import pytest

from perijove.backends.pad.footing import UIDS, Footing, mapped


@pytest.mark.parametrize(
    ("uid_map", "uid", "there"),
    [
        ("         0          0 4294967295\n", 200_000, True),
        ("         0       1000          1\n", 200_000, False),
        ("0 1000 1\n1 100000 65536\n", 30_000, True),
        ("0 1000 1\n1 100000 65536\n", 200_000, False),
    ],
    ids=["host", "single", "container-low", "container-high"],
)
def test_uids_exist_where_the_namespace_maps_them(uid_map: str, uid: int, there: bool) -> None:
    assert any(uid in held for held in mapped(uid_map)) == there


def test_no_two_sandboxes_have_one_uid_and_the_longest_unused_is_next() -> None:
    footing = Footing(None, None, own_uids=True)
    first, second = footing.take_uid(), footing.take_uid()
    assert first != second
    footing.give_back(first)
    assert footing.take_uid() not in {first, second}


def test_when_all_uids_are_taken_it_says_so() -> None:
    footing = Footing(None, None, own_uids=True)
    taken = {footing.take_uid() for _ in range(UIDS - 2)}
    assert len(taken) == UIDS - 2
    assert footing.proxy_uid not in taken
    with pytest.raises(OSError, match="every uid"):
        footing.take_uid()


def test_without_root_all_run_as_us() -> None:
    footing = Footing(None, None, own_uids=False)
    assert footing.take_uid() is None
    assert footing.proxy_uid is None
