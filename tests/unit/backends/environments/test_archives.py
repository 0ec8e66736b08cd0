import zipfile
from pathlib import Path

import pytest

from perijove.backends.environments.archives import Addressed, looked_into
from perijove.backends.environments.installer import Room
from perijove.domain import failures
from perijove.domain.failures import Fail, Kind

ROOM = Room(1000, 5)
METADATA = "p-1.dist-info/METADATA"


def wheel(folder: Path, files: dict[str, str]) -> tuple[Path, ...]:
    path = folder / "p-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return (path,)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        pytest.param("six>=1", (), id="a name"),
        pytest.param("a @ https://h/a.whl", (Addressed("a", "a @ https://h/a.whl", False),), id="an address"),
        pytest.param(
            'a[x] @ git+https://h/a ; extra == "dev"',
            (Addressed("a", "a[x] @ git+https://h/a", True),),
            id="of an extra",
        ),
    ],
)
def test_what_a_wheel_wants_from_addresses_is_found(tmp_path: Path, asked: str, found: tuple[Addressed, ...]) -> None:
    wheels = wheel(tmp_path, {METADATA: f"Name: p\nRequires-Dist: {asked}\n\nRequires-Dist: z @ https://h/in-the-text"})
    assert looked_into(wheels, ROOM) == found


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        pytest.param({"a": "x" * 1001}, failures.BUILD_TOO_LARGE, id="bytes"),
        pytest.param({str(number): "" for number in range(6)}, failures.BUILD_TOO_LARGE, id="files"),
        pytest.param({"../a": ""}, failures.BUILD_BROKE, id="a way out"),
        pytest.param({"/etc/a": ""}, failures.BUILD_BROKE, id="an absolute name"),
        pytest.param({METADATA: "Requires-Dist: a @ file:///etc/passwd\n"}, failures.BUILD_BROKE, id="a file"),
        pytest.param({METADATA: "Requires-Dist: a @ ssh://h/a\n"}, failures.BUILD_BROKE, id="another scheme"),
        pytest.param({METADATA: "Requires-Dist: !@!\n"}, failures.BUILD_BROKE, id="no requirement"),
    ],
)
def test_a_wheel_that_may_not_be_unpacked_is_refused(tmp_path: Path, files: dict[str, str], kind: Kind) -> None:
    with pytest.raises(Fail) as caught:
        looked_into(wheel(tmp_path, files), ROOM)
    assert caught.value.failure.kind is kind


def test_a_disk_that_is_too_full_for_it_is_the_operators(tmp_path: Path) -> None:
    with pytest.raises(Fail) as caught:
        looked_into(wheel(tmp_path, {"a": "x" * 1001}), Room(1000, 5, short=True))
    assert caught.value.failure.kind is failures.BUILD_DISK


def test_what_is_no_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p-1-py3-none-any.whl").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(Fail) as caught:
        looked_into((tmp_path / "p-1-py3-none-any.whl",), ROOM)
    assert caught.value.failure.kind is failures.BUILD_BROKE
