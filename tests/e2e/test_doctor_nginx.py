"""`perijove doctor nginx` before a real nginx in the founding story's layout: found, mended, or all taken back."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from perijove.backends.nginx.asking import ask
from perijove.domain.front_failures import ACME_HTTP01_BLOCKED_BY_FRONT_PROXY, LISTEN_CONFLICT, NOT_FIXED
from tests.e2e.service import until
from tests.fakes.nginx import Nginx, missing, running_nginx, self_signed
from tests.fakes.ports import free_port

pytestmark = [
    pytest.mark.same_for_any_user,
    pytest.mark.e2e,
    pytest.mark.skipif(bool(missing(stream=True)), reason=missing(stream=True) or "nginx is there"),
]
FRONT, BEHIND = "127.0.0.2", "127.0.0.3"
HOST = "binder.uni.example"


@dataclass
class Story:
    """The front, and an ingress behind it that shows a certificate nobody believes."""

    nginx: Nginx
    http: int
    https: int
    solver: str

    @property
    def main(self) -> Path:
        return self.nginx.folder / "nginx.conf"

    def doctor(self, *words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "perijove", "doctor", "nginx", str(self.main), "--host", HOST]
        command += ["--to", self.solver, "--prefix", str(self.nginx.folder), *words]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        return ran.returncode, ran.stdout + ran.stderr

    def asked(self, path: str) -> tuple[int, str, str]:
        told = ask(f"http://{HOST}:{self.http}{path}", FRONT)
        return told.status, told.location, told.words


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    http, https, inner, solver = (free_port() for _ in range(4))
    chain, key = self_signed(tmp_path, "ingress.local")
    ingress = f"""server {{
    listen {BEHIND}:{inner} ssl; ssl_certificate {chain}; ssl_certificate_key {key}; return 404;
}}
server {{ listen {BEHIND}:{solver}; location /.well-known/acme-challenge/ {{ return 200 "answered for $host"; }} }}"""
    front = f"""server {{
    listen {FRONT}:{http};
    server_name {HOST};
    return 301 https://$host:{https}$request_uri;
}}"""
    stream = f"server {{ listen {FRONT}:{https}; proxy_pass {BEHIND}:{inner}; }}"
    behind = tmp_path / "behind"
    behind.mkdir()
    behind.chmod(0o755)
    with running_nginx(behind, ingress), running_nginx(tmp_path, front, stream) as nginx:
        yield Story(nginx, http, https, f"{BEHIND}:{solver}")


def test_the_line_is_named_mended_and_found_no_more(story: Story) -> None:
    status, told = story.doctor("--json")
    assert status == 1, told
    (root,) = json.loads(told)["told"]
    line = 1 + story.main.read_text()[: story.main.read_text().index("return 301")].count("\n")
    assert (root["code"], root["subject"]) == (ACME_HTTP01_BLOCKED_BY_FRONT_PROXY.code, f"{story.main}:{line}")
    assert root["confidence"] == "likely"
    assert (
        f"+    location ^~ /.well-known/acme-challenge/ {{\n+        proxy_pass http://{story.solver};"
        in root["commands"][0]
    )

    people = story.asked("/v2/gh/a/b/HEAD?urlpath=lab")
    assert people[0] == 301
    story.main.chmod(0o640)
    status, told = story.doctor("--fix", "--yes")
    assert status == 0, told
    # A worker of before may take one more connection on its way out.
    until(lambda: story.asked("/.well-known/acme-challenge/some-token")[2].endswith(f"answered for {HOST}"))
    assert story.asked("/v2/gh/a/b/HEAD?urlpath=lab") == people
    assert story.main.stat().st_mode & 0o777 == 0o640
    assert "return 301" in next(story.nginx.folder.glob(".nginx.conf.before-*")).read_text()

    mended = story.main.read_text()
    status, told = story.doctor("--fix", "--yes", "--json")
    assert (status, json.loads(told)["told"]) == (0, [])
    assert story.main.read_text() == mended


def half_fixed(story: Story) -> str:
    """Port 80 handed on as TCP as well, while http keeps it: `nginx -t` says nothing. The text of before it."""
    before = story.main.read_text()
    added = f"stream {{\nserver {{\n    listen {FRONT}:{story.http};\n    proxy_pass {story.solver};\n}}\n"
    log = f"error_log {story.nginx.folder}/said.log;\n"
    story.main.write_text(log + before.replace("stream {\n", added))
    return log + before


@pytest.mark.parametrize("down", [True, False], ids=["nginx is down", "nginx runs by the files of before"])
def test_a_half_fix_has_a_way_out(story: Story, down: bool) -> None:
    before = half_fixed(story)
    lines = story.main.read_text().splitlines()
    if down:
        story.nginx.stop()
    try:
        status, told = story.doctor("--json")
        assert status == 1
        (conflict,) = [one for one in json.loads(told)["told"] if one["code"] == LISTEN_CONFLICT.code]
        line = 1 + lines.index(f"    listen {FRONT}:{story.http};", lines.index("stream {"))
        assert f"Remove the line at {story.main}:{line}" in conflict["remedy"]
        status, told = story.doctor("--fix", "--yes")
        assert status == 0, told
        until(lambda: story.asked("/.well-known/acme-challenge/some-token")[2].endswith(f"answered for {HOST}"))
        assert story.asked("/")[0] == 301
        kept = [one for one in story.main.read_text().splitlines() if one in before.splitlines()]
        gone = [one.strip() for one in before.splitlines() if one not in kept]
        assert gone == [f"return 301 https://$host:{story.https}$request_uri;"], (
            "it is further in now, and nothing else"
        )
    finally:
        if down:
            stopped(story)


def stopped(story: Story) -> None:
    """End the nginx that the doctor started."""
    pid = int((story.nginx.folder / "nginx.pid").read_text())
    psutil.Process(pid).terminate()
    until(lambda: not (story.nginx.folder / "nginx.pid").exists())


def test_why_nginx_does_not_take_it_up_is_told_by_its_log(story: Story) -> None:
    """Another program has the port of a server that the running nginx does not know yet."""
    text = story.main.read_text()
    with socket.socket() as taken:
        taken.bind((FRONT, 0))
        taken.listen()
        more = f"http {{\nserver {{ listen {FRONT}:{taken.getsockname()[1]}; }}"
        broken = f"error_log {story.nginx.folder}/said.log;\n" + text.replace("http {", more)
        story.main.write_text(broken)
        status, told = story.doctor("--fix", "--yes")
    assert status == 1
    assert "nginx did not take it up" in told
    assert "Address already in use" in told
    assert story.main.read_text() == broken


def test_a_front_behind_a_balancer_is_asked_by_the_proxy_protocol(story: Story) -> None:
    """Without its line nginx closes each connection, and every fix would be taken back."""
    text = story.main.read_text()
    proxied = text.replace(f"listen {FRONT}:{story.http};", f"listen {FRONT}:{story.http} proxy_protocol;")
    http, stream = proxied.split("temp_path")[-1].partition(";\n")[2].split("\n}\nstream {\n")
    story.nginx.reload(http, stream.rstrip().removesuffix("}"))
    assert story.asked("/")[0] == 0
    status, told = story.doctor("--fix", "--yes")
    assert status == 0, told
    token = f"http://{HOST}:{story.http}/.well-known/acme-challenge/some-token"
    until(lambda: ask(token, FRONT, proxied=True).words.endswith(f"answered for {HOST}"))


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        pytest.param(("--to", f"{BEHIND}:9"), "not answered by whom it was passed on to", id="nobody is there"),
        pytest.param(("--to", "nowhere.invalid:80"), "nginx refuses it", id="a name that nginx cannot resolve"),
        pytest.param(("--reload", "false"), "could not be reloaded", id="a reload that fails"),
    ],
)
def test_a_fix_that_does_not_help_is_taken_back(story: Story, words: tuple[str, ...], cause: str) -> None:
    before, answers = story.main.read_bytes(), story.asked("/.well-known/acme-challenge/some-token")
    status, told = story.doctor("--fix", "--yes", *words)
    assert status == 1
    assert NOT_FIXED.title in told
    assert cause in told
    assert story.main.read_bytes() == before
    assert not list(story.nginx.folder.glob(".nginx.conf*"))
    until(lambda: story.asked("/.well-known/acme-challenge/some-token") == answers, 15)


def test_nothing_is_written_where_nobody_says_yes(story: Story) -> None:
    before = story.main.read_bytes()
    status, told = story.doctor("--fix")
    assert status == 1
    assert "+    location ^~ /.well-known/acme-challenge/ {" in told
    assert story.main.read_bytes() == before
