"""`perijove doctor` before a real service: silent where it is healthy, and naming what was broken on purpose."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from perijove.backends import statedir
from perijove.backends.caddy import Caddy
from perijove.backends.ground import disk_history, holding
from perijove.domain import wire
from perijove.domain.certificate_failures import CLOCK_WRONG, DNS_NO_SUCH_NAME, NOT_SERVED, NOT_VALID_NOW
from perijove.domain.events import Announced
from perijove.domain.failures import (
    DATA_PLANE_DOWN,
    DISK_FULL,
    INDEX_UNREACHABLE,
    NAMESPACES_FORBIDDEN,
    NOT_UP,
    PORT_TAKEN,
    SANDBOX_FAILED,
    STATE_UNUSABLE,
)
from perijove.domain.server_failures import SERVER_TOO_SLOW
from perijove.domain.service_failures import (
    FILE_TOO_OPEN,
    JOURNAL_DAMAGED,
    JOURNAL_HELD,
    NAMES_UNRESOLVED,
    NOT_ANSWERING,
    PAD_SILENT,
    SECRET_CHANGED,
    STORE_DAMAGED,
)
from perijove.domain.settings import ServiceSettings, Settings
from perijove.domain.state import State
from perijove.web.challenge import Challenge
from perijove.web.opening import opening_app
from perijove.wiring import examining
from perijove.wiring.given import SystemClock
from perijove.wiring.sockets import serving
from tests.e2e.certified import certified_world
from tests.e2e.service import Service, until
from tests.fakes import nginx
from tests.fakes.nginx import running_nginx, self_signed
from tests.fakes.private_ca import PrivateCa

pytestmark = pytest.mark.e2e
QUICK, HANGS = 2.0, 5.0
"""Seconds in which a healthy service is examined, and one of which a process does not answer."""
LOADED = 4
"""How many times as long it may take where other tests run beside it."""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    root = Path(tempfile.mkdtemp(prefix="perijove-"))
    root.chmod(0o711)
    one = Service(State(root)).up()
    try:
        yield one
    finally:
        if one.process is not None and one.process.poll() is None:
            one.stop()
        shutil.rmtree(root, ignore_errors=True)


def doctor(
    root: Path, *before: str, flags: Sequence[str] = ("--no-launch",), **environ: str
) -> tuple[int, dict[str, Any]]:
    """Its exit status and its JSON; `before`: words before the command."""
    command = [*before, sys.executable, "-m", "perijove", "doctor", "--json", "--state", str(root), *flags]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **environ}
    )
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def codes(told: dict[str, Any]) -> list[str]:
    print(json.dumps(told["told"], indent=1))
    return [one["code"] for one in told["told"]]


def test_a_healthy_service_gives_nothing_and_soon(service: Service) -> None:
    began = time.monotonic()
    status, told = doctor(service.state.root)
    took = time.monotonic() - began
    print(f"examined in {took:.2f} s")
    assert (status, told["told"]) == (0, [])
    skipped = {one["name"] for one in told["results"] if one["outcome"] == "skipped"}
    without = {"certificates.reachable", "certificates.valid", "certificates.shown", "service.login", "ground.homes"}
    assert skipped == {"service.ports", "launch.ready", "ground.filling", *without}, "no host, no launch, not a day yet"
    (noted,) = disk_history.read(service.state.free_disk)
    assert noted.disk > 0
    assert took < QUICK * LOADED


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Processes that somebody stopped; in the end they go on, the last first."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("what", ["the control plane", "Caddy", "the pad"])
def test_what_hangs_is_told_soon_and_what_its_process_does(service: Service, what: str) -> None:
    """Of Caddy while the control plane hangs as well, which would replace it within a moment."""
    assert service.process is not None
    own, caddy, pad = service.process.pid, Caddy(service.state).pid(), holding.holder(service.state.pad_lock)
    assert caddy is not None
    hung, kind, commands = {
        "the control plane": ([own], NOT_ANSWERING, [f"kill -CONT {own}"]),
        "Caddy": ([own, caddy], DATA_PLANE_DOWN, [f"kill -9 {caddy}   # the service starts it again; sessions stay"]),
        "the pad": ([pad], PAD_SILENT, [f"kill -CONT {pad}"]),
    }[what]
    with stopped(*hung):
        began = time.monotonic()
        status, told = doctor(service.state.root)
        took = time.monotonic() - began
    print(f"told after {took:.2f} s")
    assert took < HANGS * LOADED
    roots = {one["code"]: one for one in told["told"]}
    assert (status, set(roots)) == (1, {kind.code} | ({NOT_ANSWERING.code} if own in hung else set()))
    assert "stopped" in roots[kind.code]["cause"]
    assert roots[kind.code]["commands"] == commands
    until(lambda: doctor(service.state.root)[1]["told"] == [])


async def test_a_service_that_starts_is_known_by_what_it_tells_visitors(state: State) -> None:
    state.run.mkdir(parents=True, exist_ok=True)
    silent = await examining.look(state, Settings(), NOT_UP("no socket"), SystemClock())
    async with serving(opening_app(Challenge("", lambda _: None), ServiceSettings), state.control_socket):
        starts = await examining.look(state, Settings(), NOT_UP("no socket"), SystemClock())
    assert (silent.service.opening, starts.service.opening) == (False, True)


def test_control_groups_are_those_that_the_service_has(service: Service) -> None:
    _, told = doctor(service.state.root)
    seen = {step["where"]: step["saw"] for one in told["looked"] for step in one["steps"]}
    has = json.loads(service.cli("status", "--json"))["isolation"]["cgroups"]
    assert seen["control groups"] == (has or "none: limits are watched")


def test_a_secret_that_will_not_match_after_a_restart_is_foreseen(service: Service) -> None:
    kept = service.state.secret.read_bytes()
    service.state.secret.write_bytes(bytes(32))
    try:
        status, told = doctor(service.state.root)
    finally:
        service.state.secret.write_bytes(kept)
    assert (status, codes(told)) == (1, [SECRET_CHANGED.code])
    assert told["told"][0]["foreseen"] is True


def test_a_key_that_others_can_read_is_told(service: Service) -> None:
    service.state.secret.chmod(0o644)
    try:
        _, told = doctor(service.state.root)
    finally:
        service.state.secret.chmod(0o600)
    assert codes(told) == [FILE_TOO_OPEN.code]
    assert told["told"][0]["commands"] == told["fixes"] == [f"chmod 600 {service.state.secret}"]


def test_a_key_that_others_can_read_is_closed_by_fix(service: Service) -> None:
    service.state.secret.chmod(0o644)
    status, told = doctor(service.state.root, flags=("--no-launch", "--fix", "--yes"))
    assert (status, told["told"]) == (0, [])
    assert service.state.secret.stat().st_mode & 0o777 == 0o600


def test_a_launch_gets_to_a_kernel_and_leaves_nothing(service: Service) -> None:
    status, told = doctor(service.state.root, flags=())
    assert (status, told["told"]) == (0, [])
    assert [one["outcome"] for one in told["results"] if one["name"] == "launch.ready"] == ["well"]
    assert json.loads(service.cli("get", "sessions", "-o", "json")) == []


def test_a_launch_that_fails_tells_what_it_ended_with(empty_state: State) -> None:
    hurried = Service(empty_state, {"SESSION_START_TIMEOUT": "0.01", "SESSION_FORKED": "false"}).up()
    try:
        status, told = doctor(empty_state.root, flags=())
    finally:
        hurried.stop()
    assert (status, codes(told)) == (1, [SERVER_TOO_SLOW.code])
    assert told["told"][0]["commands"] == ["perijove describe launch 1"]


def test_garbage_in_the_journal_is_told_with_its_row(service: Service) -> None:
    with sqlite3.connect(service.state.database) as db:
        seq = db.execute("insert into events (subject, at, weight, body) values ('x/1', 0, 0, '{') returning seq")
        (number,) = seq.fetchone()
    try:
        _, told = doctor(service.state.root)
    finally:
        with sqlite3.connect(service.state.database) as db:
            db.execute("delete from events where seq = ?", (number,))
    assert codes(told) == [JOURNAL_DAMAGED.code]
    assert f"seq {number}" in told["told"][0]["cause"]


def test_a_journal_that_was_removed_under_the_service_is_not_taken_for_one_that_never_was(service: Service) -> None:
    service.state.database.unlink()
    _, told = doctor(service.state.root)
    (journal,) = [one for one in told["results"] if one["name"] == "service.journal"]
    assert "none yet" not in journal["why_skipped"]
    service.cli("get", "launches")
    assert service.state.database.exists(), "its next use wrote it anew"


def test_a_journal_that_another_program_holds_is_told_with_its_process(service: Service) -> None:
    with sqlite3.connect(service.state.database, isolation_level=None) as db:
        db.execute("begin immediate")
        _, told = doctor(service.state.root)
        db.execute("rollback")
    held = [one for one in told["told"] if one["code"] == JOURNAL_HELD.code]
    assert [one["cause"] for one in held] == [f"process {os.getpid()} keeps the service from writing it"]


def test_a_journal_that_nobody_may_read_meanwhile_is_held_and_not_damaged(empty_state: State) -> None:
    empty_state.control.mkdir(parents=True)
    with sqlite3.connect(empty_state.database, isolation_level=None) as db:
        db.execute("create table events (seq integer primary key, subject, at, weight, body)")
        empty_state.database.chmod(0o600)
        db.execute("begin exclusive")
        _, told = doctor(empty_state.root)
        db.execute("rollback")
    assert sorted(codes(told)) == sorted([JOURNAL_HELD.code, NOT_UP.code])


def test_an_index_out_of_reach_is_told(empty_state: State) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        _, told = doctor(empty_state.root, UV_DEFAULT_INDEX=f"http://{address}", no_proxy="127.0.0.1")
    (found,) = [one for one in told["told"] if one["code"] == INDEX_UNREACHABLE.code]
    assert address in found["cause"]


def test_a_resolver_that_does_not_answer_is_the_root_of_all_that_is_out_of_reach(
    empty_state: State, tmp_path: Path
) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("util-linux's unshare is not installed")
    own = ["--user", "--map-current-user", "--keep-caps"] if os.geteuid() != 0 else []
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.99\noptions timeout:1 attempts:1\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: dns\n")
    over = " && ".join(
        f'mount --bind "$0/{name}" /etc/{name}'
        for name in ("resolv.conf", "nsswitch.conf")
        if Path("/etc", name).exists()
    )
    unset = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"), "")
    _, told = doctor(
        empty_state.root, "unshare", *own, "--mount", "sh", "-c", f'{over} && exec "$@"', str(tmp_path),
        UV_DEFAULT_INDEX="https://index.example", **unset,
    )  # fmt: skip
    (root,) = [one for one in told["told"] if one["code"] == NAMES_UNRESOLVED.code]
    assert "127.0.0.99" in [one["saw"] for one in root["evidence"]]
    assert [one["code"] for one in root["explains"]] == [INDEX_UNREACHABLE.code]


def test_garbage_in_the_store_is_told_and_taken_away_by_fix(service: Service) -> None:
    garbage = service.state.environments / "0123456789abcdef"
    garbage.mkdir()
    (garbage / "perijove.json").write_text('{"python": ')
    try:
        _, told = doctor(service.state.root)
        assert codes(told) == [STORE_DAMAGED.code]
        status, told = doctor(service.state.root, flags=("--no-launch", "--fix", "--yes"))
        assert (status, told["told"]) == (0, [])
        assert not garbage.exists()
    finally:
        shutil.rmtree(garbage, ignore_errors=True)


def test_forbidden_namespaces_are_told_with_their_switch(service: Service) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("util-linux's unshare is not installed")
    if os.geteuid() != 0:
        pytest.skip("in another user's namespace only root still reaches its own state directory")
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    _, told = doctor(service.state.root, "unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh")
    assert NAMESPACES_FORBIDDEN.code in codes(told)


def test_a_full_disk_is_told(state: State) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("util-linux's unshare is not installed")
    own = ["--user", "--map-current-user", "--keep-caps"] if os.geteuid() != 0 else []
    mount = 'mount -t tmpfs -o size=30m,mode=711 tmpfs "$0" && exec "$@"'
    _, told = doctor(state.root, "unshare", *own, "--mount", "sh", "-c", mount, str(state.root))
    assert DISK_FULL.code in codes(told)


def test_a_taken_port_is_told_with_its_holder(empty_state: State) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, told = doctor(empty_state.root, PERIJOVE_SERVICE_HTTP=address)
    assert status == 1
    assert sorted(codes(told)) == sorted([PORT_TAKEN.code, NOT_UP.code])
    assert f"(process {os.getpid()})" in next(one["cause"] for one in told["told"] if one["code"] == PORT_TAKEN.code)


def test_a_caddy_that_hangs_is_replaced_by_the_service_itself(service: Service) -> None:
    caddy = Caddy(service.state)
    pid = caddy.pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    until(lambda: caddy.pid() not in (pid, None))
    until(lambda: doctor(service.state.root, flags=("--no-launch",))[1]["told"] == [], 60)


def test_a_state_directory_that_nobody_can_write_is_told(empty_state: State) -> None:
    """A read-only mount, which holds for root as well."""
    if shutil.which("unshare") is None:
        pytest.skip("util-linux's unshare is not installed")
    own = ["--user", "--map-current-user", "--keep-caps"] if os.geteuid() != 0 else []
    closed = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    _, told = doctor(empty_state.root, "unshare", *own, "--mount", "sh", "-c", closed, str(empty_state.root))
    (root,) = [one for one in told["told"] if one["code"] == STATE_UNUSABLE.code]
    assert root["cause"] == "its file system is mounted to be read only"
    assert {"where": str(empty_state.root), "saw": "statvfs: ST_RDONLY"} in root["evidence"]


def test_a_clock_that_was_set_back_is_told(service: Service) -> None:
    with sqlite3.connect(service.state.database) as db:
        row = "insert into events (subject, at, weight, body) values (?, ?, 0, ?) returning seq"
        body = json.dumps(wire.encode(Announced("", 0.0, 0.0)))
        (number,) = db.execute(row, ("operator/message", time.time() + 259200, body)).fetchone()
    try:
        _, told = doctor(service.state.root)
    finally:
        with sqlite3.connect(service.state.database) as db:
            db.execute("delete from events where seq = ?", (number,))
    assert codes(told) == [CLOCK_WRONG.code]


def test_a_service_that_was_killed_is_told_and_then_one_that_was_stopped(service: Service) -> None:
    caddy = Caddy(service.state)
    pid = caddy.pid()
    assert pid is not None
    service.kill()
    os.kill(pid, signal.SIGKILL)
    until(lambda: caddy.pid() is None)
    status, told = doctor(service.state.root)
    assert (status, codes(told)) == (1, [NOT_UP.code])
    service.up()
    service.stop()
    until(lambda: caddy.pid() is None)
    status, told = doctor(service.state.root)
    assert (status, codes(told)) == (1, [NOT_UP.code])


HOST = "a.example"


def test_certificates_of_a_service(tmp_path: Path, empty_state: State) -> None:
    """All well; then a name that is gone: foreseen, and once the certificate has ended, the reason for that."""
    with certified_world(tmp_path) as world:
        service = world.service(empty_state, HOST)
        service.settings["SERVICE_SESSION_HOSTS"] = "off"
        service.up()
        try:
            world.has(HOST)
            until(lambda: doctor(empty_state.root)[0] == 0)
            world.dns.clear(HOST)
            status, told = doctor(empty_state.root)
            assert (status, codes(told)) == (1, [DNS_NO_SUCH_NAME.code])
            assert told["told"][0]["foreseen"] is True
            ending = PrivateCa(tmp_path).leaf(HOST, valid_until=4)
            service.cli("cert", "import", HOST, "--chain", str(ending.chain), "--key", str(ending.key))
            ends = x509.load_pem_x509_certificate(ending.chain.read_bytes()).not_valid_after_utc.timestamp()
            until(lambda: time.time() > ends, 10)
            _, told = doctor(empty_state.root)
            (root,) = told["told"]
            assert (root["code"], root["foreseen"]) == (DNS_NO_SUCH_NAME.code, False)
            assert NOT_VALID_NOW.code in [one["code"] for one in root["explains"]]
        finally:
            service.stop()


@pytest.mark.skipif(bool(nginx.missing()), reason=nginx.missing())
def test_another_server_where_the_name_leads(tmp_path: Path, empty_state: State) -> None:
    with certified_world(tmp_path) as world:
        service = world.service(empty_state, HOST)
        service.up()
        try:
            world.has(HOST)
            world.dns.set(HOST, "A", "127.0.0.9")
            chain, key = self_signed(tmp_path, HOST)
            shows = f"listen 127.0.0.9:{world.https_port} ssl; ssl_certificate {chain}; ssl_certificate_key {key};"
            with running_nginx(tmp_path, f"server {{ {shows} }}"):
                _, told = doctor(empty_state.root)
        finally:
            service.stop()
    served = [one for one in told["told"] if one["code"] == NOT_SERVED.code]
    assert [one["confidence"] for one in served] == ["likely"]
    assert "127.0.0.9" in served[0]["cause"]


@pytest.mark.skipif(shutil.which("nsenter") is None, reason="util-linux's nsenter is not installed")
def test_a_launch_that_a_switch_of_the_kernel_breaks_names_the_switch(tmp_path: Path, empty_state: State) -> None:
    """Forbidden while the service runs, as hardening does: on the page and in the stream."""
    inside, folder = tmp_path / "python", tmp_path / "tiny"
    inside.write_text(f'#!/bin/sh\nexec unshare --user --map-root-user {sys.executable} "$@"\n')
    inside.chmod(0o755)
    folder.mkdir()
    (folder / "README.md").write_text("tiny\n")
    service = Service(empty_state, python=str(inside), shares_store=False).up()
    try:
        assert service.process is not None
        enter = ["nsenter", "--user", "--preserve-credentials", f"--target={service.process.pid}"]
        subprocess.run([*enter, "sh", "-c", "echo 0 > /proc/sys/user/max_user_namespaces"], check=True, timeout=10)
        failed = service.launch(str(folder), fails=True)[-1]["event"]["failure"]
        key = statedir.keys(empty_state).launch_key(1)
        with httpx.Client(timeout=10, trust_env=False, follow_redirects=True) as visitor:
            page = visitor.get(f"{service.url}launch/1?key={key}").text
    finally:
        service.stop()
    assert failed["kind"] == NAMESPACES_FORBIDDEN.code
    assert {"where": "user.max_user_namespaces", "saw": "0"} in failed["evidence"]
    assert SANDBOX_FAILED.code in next(one["saw"] for one in failed["evidence"] if "ended with" in one["where"])
    assert NAMESPACES_FORBIDDEN.title in page
    assert "user.max_user_namespaces" in page
