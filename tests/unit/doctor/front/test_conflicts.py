"""Where http and stream want one port, the line goes without which all is answered; else the operator chooses."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from perijove.backends.nginx.reading import read
from perijove.doctor.front import conflicts
from perijove.doctor.front.judge import Facts
from perijove.doctor.front.remedy import listener_removed
from perijove.doctor.front.servers import Front, front_of
from tests.fakes.nginx import Nginx, missing

HOST = "binder.example"
PASSED = "location /.well-known/acme-challenge/ { proxy_pass http://192.0.2.61; proxy_set_header Host $host; }"
REDIRECT = "location / { return 301 https://$host:20443$request_uri; }"
BOTH = f"server {{\n    listen 127.0.0.1:20080;\n    server_name {HOST};\n    {PASSED}\n    {REDIRECT}\n}}"
ONLY = f"server {{\n    listen 127.0.0.1:20080;\n    server_name {HOST};\n    return 404;\n}}"
PORT_80 = "server {\n    listen 127.0.0.1:20080;\n    proxy_pass 192.0.2.61:80;\n}"
PORT_443 = "server {\n    listen 127.0.0.1:20443;\n    proxy_pass 192.0.2.61:443;\n}"
SECURE = f"server {{\n    listen 127.0.0.1:20443 ssl;\n    server_name {HOST};\n    # inside\n}}"
APP = "location / { proxy_pass http://192.0.2.61; proxy_set_header Host $host; }"
CASES: dict[str, tuple[str, str, str]] = {
    "http passes challenges on and redirects": (BOTH, PORT_80, "stream"),
    "http can be made to pass them on": (ONLY, f"{PORT_80}\n{PORT_443}", "stream"),
    "nobody knows whom http should pass them on to": (ONLY, PORT_80, "http"),
    "http hands nobody on at the port of TLS": (f"{BOTH}\n{SECURE}", PORT_443, "http"),
    "both hand people on at the port of TLS": (f"{BOTH}\n{SECURE.replace('# inside', APP)}", PORT_443, "nobody"),
    "two names of http at the port": (f"{BOTH}\n{ONLY.replace(HOST, 'x.example')}", PORT_80, "stream"),
}


def written(folder: Path, http: str, stream: str) -> Path:
    Nginx(folder)._write(http, stream)
    return folder / "nginx.conf"


def of(main: Path, changed: dict[str, str] | None = None) -> Front:
    return front_of(read(main, changed))


@pytest.mark.parametrize("case", CASES)
def test_the_line_goes_without_which_all_is_answered(tmp_path: Path, case: str) -> None:
    http, stream, goes = CASES[case]
    main = written(tmp_path, http, stream)
    facts = Facts(of(main), (HOST,))
    (conflict,) = conflicts.found(facts.front)
    chosen, why = conflicts.chosen(facts, conflict)
    assert chosen is {"stream": conflict.stream, "http": conflict.http, "nobody": None}[goes]
    (finding,) = conflicts.told(facts)
    assert finding.failure.remedy.startswith(why)
    assert bool(finding.commands) is (goes != "nobody")


@pytest.mark.skipif(bool(missing(stream=True)), reason=missing(stream=True) or "nginx is there")
@pytest.mark.parametrize("more", ["", "    listen 127.0.0.1:20081;\n"], ids=["its only one", "one of two"])
def test_one_line_is_taken_out_or_its_server_where_it_has_no_other(tmp_path: Path, more: str) -> None:
    stream = PORT_80.replace("    proxy_pass", f"{more}    proxy_pass")
    main = written(tmp_path, BOTH, f"{PORT_443}\n{stream}")
    front = of(main)
    (conflict,) = conflicts.found(front)
    made = listener_removed(front, conflict.stream)
    assert made is not None
    before, after = main.read_text(), made.after[str(main)]
    taken = "    listen 127.0.0.1:20080;\n" if more else f"{PORT_80}\n"
    start = before.rindex(taken)
    assert after == before[:start] + before[start + len(taken) :]
    assert not list(conflicts.found(of(main, dict(made.after))))
    main.write_text(after)
    tried = subprocess.run([*Nginx(tmp_path)._command(), "-t"], capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr


def test_a_range_of_ports_is_the_operators_to_change(tmp_path: Path) -> None:
    main = written(tmp_path, BOTH, PORT_80.replace("20080", "20079-20081"))
    facts = Facts(of(main), (HOST,))
    (conflict,) = conflicts.found(facts.front)
    assert listener_removed(facts.front, conflict.stream) is None
    (finding,) = conflicts.told(facts)
    assert finding.commands == ()
