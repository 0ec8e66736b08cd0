"""nginx's files are read as nginx reads them: includes in their places, each directive with its own file and line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perijove.backends.nginx.reading import main_file, read
from perijove.domain.failures import Fail
from perijove.domain.front_failures import CONFIGURATION_UNREADABLE
from perijove.domain.web_servers import Directive


def laid(folder: Path, **files: str) -> Path:
    """Files by name, `__` for a slash and `_` for a dot; the main one's path."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "nginx.conf"


def flat(one: Directive) -> list[str]:
    """`name arguments file:line`, depth first."""
    here = [f"{part.words} {Path(part.file).name}:{part.line}" for part in [one] if part.number >= 0]
    return here + [line for inner in one.block or () for line in flat(inner)]


def test_includes_stand_in_their_places_with_their_own_lines(tmp_path: Path) -> None:
    main = laid(
        tmp_path,
        nginx_conf="http {\n  include sites/*;\n  include mime.types;\n}\n",
        sites__b="server {\n  listen 81;\n}\n",
        sites__a="# first\nserver { listen 80; }\n",
        mime_types="types { }\n",
    )
    (tmp_path / "sites" / ".hidden").write_text("server { listen 99; }")
    found = read(main)
    assert flat(found.main) == [
        "http nginx.conf:1", "server a:2", "listen 80 a:2", "server b:1", "listen 81 b:2", "types mime.types:1",
    ]  # fmt: skip
    assert (found.errors, found.absent) == ((), ())
    assert set(found.texts) == {str(main), *(str(tmp_path / one) for one in ("sites/a", "sites/b", "mime.types"))}


@pytest.mark.parametrize("there", ["tcpconf.d", "nginx/tcpconf.d", "etc/nginx/tcpconf.d"])
def test_a_copied_folder_names_the_places_of_its_own_machine(tmp_path: Path, there: str) -> None:
    main = laid(tmp_path, nginx_conf="events {}\ninclude /etc/nginx/tcpconf.d/*;\n")
    (tmp_path / there).mkdir(parents=True)
    (tmp_path / there / "lb").write_text("stream { server { listen 443; proxy_pass 192.0.2.1:443; } }")
    assert "listen 443 lb:1" in flat(read(main).main)


def test_this_machines_own_nginx_is_never_read_for_a_copy(tmp_path: Path) -> None:
    main = laid(tmp_path, nginx_conf="events {}\ninclude /etc/nginx/mime.types;\n")
    assert flat(read(main).main) == ["events nginx.conf:1"]


def test_a_file_that_is_not_there_is_told_and_a_pattern_may_match_nothing(tmp_path: Path) -> None:
    found = read(laid(tmp_path, nginx_conf="http {\n  include none/*.conf;\n  include gone.conf;\n}\n"))
    ((where, saw),) = [(one.where, one.saw) for one in found.absent]
    assert where == f"{tmp_path}/nginx.conf:3"
    assert "gone.conf" in saw
    assert found.errors == ()


def test_files_that_include_one_another_end(tmp_path: Path) -> None:
    found = read(laid(tmp_path, nginx_conf="include other.conf;\n", other_conf="include nginx.conf;\n"))
    assert "circle" in found.errors[0].saw


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("http {\n  server {\n    listen 80;\n", 4, "unexpected end of file", id="a brace is missing"),
        pytest.param("events {}\nserver { listen 80; }\n", 2, "not allowed here", id="a server outside http"),
        pytest.param("http { server { proxy_pass; } }\n", 1, "invalid number of arguments", id="too few words"),
    ],
)
def test_what_nginx_would_refuse_is_told_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    (error, *_) = read(laid(tmp_path, nginx_conf=text)).errors
    assert words in error.saw
    assert error.where.partition("nginx.conf")[2] in (f":{line}", f":{line - 1}")


def test_any_bytes_are_read(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_bytes(b"# caf\xe9\nevents {}\n")
    assert flat(read(main).main) == ["events nginx.conf:2"]


def test_changed_texts_stand_for_files(tmp_path: Path) -> None:
    main = laid(tmp_path, nginx_conf="http { include a; }\n", a="server { listen 80; }\n")
    assert "listen 81 a:1" in flat(read(main, {str(tmp_path / "a"): "server { listen 81; }"}).main)


def test_a_folders_main_file_is_nginx_conf_or_its_only_one(tmp_path: Path) -> None:
    (tmp_path / "front.conf").touch()
    assert main_file(tmp_path).name == "front.conf"
    (tmp_path / "other.conf").touch()
    with pytest.raises(Fail) as failed:
        main_file(tmp_path)
    assert failed.value.failure.kind is CONFIGURATION_UNREADABLE
    (tmp_path / "nginx.conf").touch()
    assert main_file(tmp_path).name == "nginx.conf"


def test_an_include_that_cannot_be_read_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    main = laid(tmp_path, nginx_conf="http {\n  include large;\n  server { listen 80; }\n}\n")
    (tmp_path / "large").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    found = read(main)
    assert "server nginx.conf:3" in flat(found.main)
    ((where, saw),) = [(one.where, one.saw) for one in found.unread]
    assert where == f"{main}:2"
    assert "include large" in saw


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("pattern", ["own/*.conf", "own/a.conf", "own/deeper/*.conf", "a.conf"])
def test_a_folder_that_is_closed_to_this_user_is_no_empty_one(tmp_path: Path, pattern: str) -> None:
    main = laid(tmp_path, nginx_conf=f"http {{ include {pattern}; }}\n", own__a_conf="", a_conf="")
    (tmp_path / "a.conf").chmod(0)
    (tmp_path / "own").chmod(0)
    try:
        found = read(main)
    finally:
        (tmp_path / "own").chmod(0o700)
    assert (len(found.unread), found.absent) == (1, ())


def test_a_file_that_cannot_be_read_ends_it(tmp_path: Path) -> None:
    with pytest.raises(Fail) as failed:
        read(tmp_path / "nginx.conf")
    assert failed.value.failure.kind is CONFIGURATION_UNREADABLE
