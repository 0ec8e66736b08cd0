from pathlib import Path

from perijove.backends.environments.contents import contents
from perijove.domain.build_inputs import Package


def installed(packages: Path, name: str = "six-1.17.0", record: str = "six.py,sha256=a,1\n", by: str = "uv") -> Path:
    path = packages / f"{name}.dist-info"
    path.mkdir(parents=True)
    (path / "RECORD").write_text(record)
    (path / "INSTALLER").write_text(by)
    return path


def content(folder: Path, record: str) -> str:
    installed(folder, record=record)
    (one,) = contents(folder, folder / "none")
    return one.content


def test_what_uv_has_installed_is_named_with_its_version(tmp_path: Path) -> None:
    installed(tmp_path, "Foo_Bar-1.0")
    installed(tmp_path, "attrs-26.1.0")
    installed(tmp_path, "numpy-1.26", by="conda")
    (tmp_path / "half-1.dist-info").mkdir()
    found = contents(tmp_path, tmp_path / "none")
    assert [one.line for one in found] == ["attrs==26.1.0", "foo-bar==1.0"]
    assert not any(one.built for one in found)


def test_other_files_are_another_content_and_how_they_came_is_not(tmp_path: Path) -> None:
    plain = content(tmp_path / "1", "six.py,sha256=a,1\nsix-1.17.0.dist-info/METADATA,sha256=b,1\n")
    more = (
        "six-1.17.0.dist-info/direct_url.json,sha256=c,1\n../../../bin/six,sha256=d,1\nsix-1.17.0.dist-info/RECORD,,\n"
    )
    assert content(tmp_path / "2", f"six-1.17.0.dist-info/METADATA,sha256=b,1\nsix.py,sha256=a,1\n{more}") == plain
    assert content(tmp_path / "3", "six.py,sha256=x,1\nsix-1.17.0.dist-info/METADATA,sha256=b,1\n") != plain
    assert content(tmp_path / "4", "../../../etc/six.json,sha256=a,1\nsix.py,sha256=a,1\n") != content(
        tmp_path / "5", "six.py,sha256=a,1\n"
    )


def test_a_wheel_that_foreign_code_made_is_named_by_its_bytes_whatever_its_record_says(tmp_path: Path) -> None:
    installed(tmp_path / "env")
    (tmp_path / "wheels" / "named").mkdir(parents=True)
    wheel = tmp_path / "wheels" / "named" / "SIX-1.17.0-py3-none-any.whl"
    found: set[tuple[Package, ...]] = {contents(tmp_path / "env", tmp_path / "wheels")}
    for made in (b"one", b"another"):
        wheel.write_bytes(made)
        found.add(contents(tmp_path / "env", tmp_path / "wheels"))
    assert len(found) == 3


def test_what_came_from_an_address_is_told_apart(tmp_path: Path) -> None:
    (installed(tmp_path) / "direct_url.json").write_text("{}")
    (one,) = contents(tmp_path, tmp_path / "none")
    assert one.built
