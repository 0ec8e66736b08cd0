"""The command as a program: what it prints, where, and what it leaves as exit status. No service runs here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from perijove.domain.settings_layers import names
from perijove.domain.state import State

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="perijove-home-") as folder:
        yield Path(folder)


def perijove(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command with nothing in its environment but what is given."""
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "PERIJOVE_STATE": str(home / "state"), **variables}
    return subprocess.run(
        [sys.executable, "-m", "perijove", *words],
        capture_output=True, encoding=variables.get("PYTHONIOENCODING", "utf-8"), env=environ, cwd=home, timeout=30,
        check=False,
    )  # fmt: skip


def settings_file(home: Path, text: str) -> str:
    path = home / "perijove.toml"
    path.write_text(text)
    return str(path)


def test_what_is_no_while_stops_nothing(home: Path) -> None:
    ran = perijove(home, "stop", "all", "--after", "soon")
    assert ran.returncode == 2
    assert "must be a number" in ran.stderr


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("get", "sessions"), id="get"),
        pytest.param(("get", "launches", "-o", "json"), id="get as JSON"),
        pytest.param(("describe", "launch", "1"), id="describe"),
        pytest.param(("logs", "launch", "1"), id="logs"),
        pytest.param(("stop", "repo-1"), id="stop"),
        pytest.param(("clean",), id="clean"),
        pytest.param(("get", "certs"), id="get certificates"),
        pytest.param(("get", "certs", "-w"), id="watch certificates"),
        pytest.param(("describe", "cert", "x"), id="describe a certificate"),
        pytest.param(("cert", "issue", "x"), id="issue"),
        pytest.param(("cert", "export", "x"), id="export"),
        pytest.param(("trust",), id="trust"),
    ],
)
def test_without_a_service_it_says_so_and_fails(home: Path, words: tuple[str, ...]) -> None:
    ran = perijove(home, *words)
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert "platform.not-up" in ran.stderr
    assert str(State(home / "state").admin_socket) in ran.stderr
    assert "perijove up" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(("get", "pods"), "pods is none of", id="an unknown kind"),
        pytest.param(("get", "sesions"), "did you mean sessions?", id="a misspelt kind"),
        pytest.param(("logs", "environment", "x"), "environment is none of", id="a kind without logs"),
        pytest.param(("get", "sessions", "-o", "xml"), "xml", id="an unknown form"),
        pytest.param(("up", "--port", "80"), "--port", id="an unknown flag"),
        pytest.param(("up", "--acme-ca", "none.pem"), "--acme-ca", id="a file that is not there"),
        pytest.param(("cert", "revoke", "x", "--reason", "boredom"), "boredom", id="no reason to revoke"),
        pytest.param(("describe", "event", "x"), "event is none of", id="a kind that is not described"),
        pytest.param(("fly",), "fly", id="an unknown command"),
        pytest.param(("launch",), "Missing argument", id="no link"),
        pytest.param((), "Usage", id="nothing"),
    ],
)
def test_what_is_not_understood_leaves_status_2(home: Path, words: tuple[str, ...], says: str) -> None:
    ran = perijove(home, *words)
    assert ran.returncode == 2
    assert says in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "command", ["up", "launch", "build", "get", "describe", "logs", "stop", "clean", "settings", "cert", "trust"]
)
def test_every_command_explains_itself(home: Path, command: str) -> None:
    ran = perijove(home, command, "--help")
    assert ran.returncode == 0
    assert f"perijove {command}" in ran.stdout


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        pytest.param("perijove lau", ["launch"], id="a command"),
        pytest.param("perijove get la", ["launches"], id="a kind"),
        pytest.param("perijove up --beh", ["--behind"], id="an option"),
    ],
)
def test_a_shell_completes_what_is_typed(home: Path, typed: str, completed: list[str]) -> None:
    """As the script that `perijove --install-completion` writes asks."""
    asked = {"_PERIJOVE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    program = str(Path(sys.executable).with_name("perijove"))
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], **asked}
    ran = subprocess.run([program], capture_output=True, text=True, env=environ, timeout=30, check=False)
    assert ran.stdout.split() == completed


def test_settings_are_told_with_where_they_came_from(home: Path) -> None:
    config = settings_file(home, '[session]\nmemory = "1G"\nidle_timeout = "5m"\n')
    ran = perijove(home, "settings", "--json", "--config", config, PERIJOVE_SESSION_IDLE_TIMEOUT="10m")
    assert ran.returncode == 0, ran.stderr
    rows = {row["name"]: row for row in json.loads(ran.stdout)}
    assert set(rows) == set(names())
    assert rows["session.memory"] == {"name": "session.memory", "value": 1024**3, "source": f"{config}:2"}
    assert rows["session.idle_timeout"]["value"] == 600.0
    assert rows["session.idle_timeout"]["source"] == "PERIJOVE_SESSION_IDLE_TIMEOUT"
    assert rows["service.http"] == {"name": "service.http", "value": [], "source": "default"}


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("words", [("get", "sessions"), ("settings",), ("settings", "--json"), ("up", "-h")])
def test_every_encoding_of_the_output_is_written(home: Path, words: tuple[str, ...], encoding: str) -> None:
    ran = perijove(home, *words, PYTHONIOENCODING=encoding, PERIJOVE_SERVICE_TITLE="Über ✗ 木星")
    assert "Traceback" not in ran.stderr
    assert "UnicodeEncodeError" not in ran.stderr
    if "--json" in words:
        rows = {row["name"]: row["value"] for row in json.loads(ran.stdout)}
        assert rows["service.title"] == "Über ✗ 木星"


def test_settings_are_told_as_the_file_takes_them(home: Path) -> None:
    config = settings_file(home, '[session]\nmemory = "1G"\n[[class]]\nname = "a"\nrepositories = ["gh/o/r"]\n')
    first = perijove(home, "settings", "--config", config)
    assert f'memory = "1G"  # {config}:2' in first.stdout.splitlines()
    (home / "again.toml").write_text(first.stdout)
    rows = [
        json.loads(perijove(home, "settings", "--json", "--config", file).stdout)
        for file in (config, str(home / "again.toml"))
    ]
    assert [{**row, "source": ""} for row in rows[0]] == [{**row, "source": ""} for row in rows[1]]


def test_settings_and_state_are_root_s_or_the_user_s(home: Path) -> None:
    """Said by the program itself, since root's places belong to this machine."""
    words = "from perijove.cli import service as s; print(s.default_config(), s.default_state())"
    environ = {"HOME": str(home), "XDG_STATE_HOME": str(home / "states"), "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, env=environ, check=True)
    theirs = [f"{home}/.config/perijove/perijove.toml", f"{home}/states/perijove"]
    roots = ["/etc/perijove/perijove.toml", "/var/lib/perijove"]
    assert ran.stdout.split() == (roots if os.geteuid() == 0 else theirs)
    unit = {**environ, "CONFIGURATION_DIRECTORY": "/etc/perijove"}
    ran = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, env=unit, check=True)
    assert ran.stdout.split()[0] == "/etc/perijove/perijove.toml", "whoever the unit runs as"


@pytest.mark.parametrize(
    ("text", "variables", "says"),
    [
        pytest.param("[session\n", {}, "cannot be read", id="no TOML"),
        pytest.param("memory = 1\n", {}, "there is no setting memory", id="outside of a table"),
        pytest.param(
            "[session]\nmemroy = 1\n", {}, "no setting session.memroy (did you mean session.memory?).", id="misspelt"
        ),
        pytest.param("[session]\ntotal_quota = 9\n", {}, "did you mean launching.total_quota", id="another table's"),
        pytest.param('[session]\nmemory = "much"\n', {}, "session.memory must be a number", id="no size"),
        pytest.param("", {"PERIJOVE_SESSION_CPU": "2"}, "there is no setting PERIJOVE_SESSION_CPU", id="variable"),
        pytest.param("", {"PERIJOVE_SERVICE_HTTP": "8000"}, "ADDRESS:PORT", id="no address"),
    ],
)
def test_bad_settings_are_named_with_their_source(home: Path, text: str, variables: dict[str, str], says: str) -> None:
    config = settings_file(home, text)
    ran = perijove(home, "settings", "--config", config, **variables)
    assert ran.returncode == 1
    assert "platform.bad-settings" in ran.stderr
    assert says in ran.stderr
    number = next((at for at, line in enumerate(text.splitlines(), 1) if "=" in line), 0)
    place = f"{config}:{number}" if number else config
    assert (next(iter(variables)) if variables else place) in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        (("--http", "8000"), "service.http"),
        (("--https", "nowhere"), "service.https"),
        (("--behind", "nginx"), "service.behind"),
    ],
)
def test_a_flag_that_is_no_setting_is_named(home: Path, words: tuple[str, ...], setting: str) -> None:
    ran = perijove(home, "up", *words)
    assert ran.returncode == 1
    assert "platform.bad-settings" in ran.stderr
    assert setting in ran.stderr
    assert words[1] in ran.stderr
    assert not (home / "state").exists()


@pytest.mark.parametrize("words", [("up",), ("launch", "gh/owner/repo/HEAD")], ids=["up", "launch"])
def test_with_bad_settings_nothing_is_begun(home: Path, words: tuple[str, ...]) -> None:
    ran = perijove(home, *words, PERIJOVE_SESSION_CPU="2")
    assert ran.returncode == 1
    assert "platform.bad-settings" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (home / "state").exists()


def test_a_settings_file_that_is_not_there_is_said(home: Path) -> None:
    ran = perijove(home, "up", "--config", str(home / "none.toml"))
    assert ran.returncode == 1
    assert "platform.bad-settings" in ran.stderr
    assert "none.toml" in ran.stderr


def test_no_isolation_beyond_loopback_does_not_start(home: Path) -> None:
    ran = perijove(home, "up", "--http", "0.0.0.0:0", PERIJOVE_SESSION_ISOLATION="none")
    assert ran.returncode == 1
    assert "platform.not-isolated" in ran.stderr


def test_a_state_directory_that_cannot_be_used_is_named(home: Path) -> None:
    (home / "state").write_text("a file")
    ran = perijove(home, "up", "--http", "127.0.0.1:0")
    assert ran.returncode == 1
    assert "platform.state-unusable" in ran.stderr
    assert str(home / "state") in ran.stderr
