"""Free space, hour by hour, in a file of ours: kept, bounded, and forgiving."""

from __future__ import annotations

from pathlib import Path

from perijove.backends.ground import disk_history
from perijove.domain.ground import FreeThen

HOUR = 3600.0


def test_samples_come_back_in_order(tmp_path: Path) -> None:
    samples = [FreeThen(1_780_000_000 + number * HOUR, 10**12 - number) for number in range(3)]
    for one in samples:
        disk_history.add(tmp_path / "free", one)
    assert disk_history.read(tmp_path / "free") == tuple(samples)
    assert (tmp_path / "free").stat().st_mode & 0o777 == 0o600


def test_two_weeks_are_kept(tmp_path: Path) -> None:
    for number in range(disk_history.KEPT + 5):
        disk_history.add(tmp_path / "free", FreeThen(number * HOUR, number))
    kept = disk_history.read(tmp_path / "free")
    assert (len(kept), kept[0].disk, kept[-1].disk) == (disk_history.KEPT, 5, disk_history.KEPT + 4)


def test_a_service_that_starts_often_notes_no_more(tmp_path: Path) -> None:
    for second in (0, 10, 20, disk_history.APART):
        disk_history.add(tmp_path / "free", FreeThen(1000 + second, 1))
    assert [one.at for one in disk_history.read(tmp_path / "free")] == [1000, 1000 + disk_history.APART]


def test_a_clock_that_was_set_back_does_not_stop_it(tmp_path: Path) -> None:
    disk_history.add(tmp_path / "free", FreeThen(10**9, 1))
    disk_history.add(tmp_path / "free", FreeThen(10**8, 2))
    assert [one.disk for one in disk_history.read(tmp_path / "free")] == [1, 2]


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    assert disk_history.read(tmp_path / "none") == ()
    (tmp_path / "free").write_bytes(
        b"1000 5\nwords\n\xff 1\n2000\n3000 -1\n" + b"9" * 5000 + b" 1\n1 " + b"9" * 5000 + b"\n4000 7\n"
    )
    assert disk_history.read(tmp_path / "free") == (FreeThen(1000, 5), FreeThen(4000, 7))
