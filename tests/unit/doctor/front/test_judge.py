"""What a web server in front does to challenges and sessions: found by file and line, mended by a diff."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.nginx.reading import read
from perijove.doctor.engine import Examination, Outcome, examine
from perijove.doctor.front import listeners
from perijove.doctor.front.diagnosis import checks
from perijove.doctor.front.judge import Facts, blocked, patch
from perijove.doctor.front.servers import front_of
from perijove.domain import front_failures as rows
from perijove.domain.failures import Evidence, Kind
from perijove.domain.findings import Confidence
from tests.fakes.nginx import Nginx, missing

HOST = "binder.example"
ADDRESS, PLAIN, TLS = "127.0.0.1", 20080, 20443
NAMED = f"listen {ADDRESS}:{PLAIN}; server_name {HOST};"
PASSED = "location ^~ /.well-known/acme-challenge/ { proxy_pass http://127.0.0.1:20901; proxy_set_header Host $host; }"
REDIRECT = "return 301 https://$host:20443$request_uri;"
STREAM = f"server {{ listen {ADDRESS}:{TLS}; proxy_pass 192.0.2.61:443; }}"
WEBSOCKET = """proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;"""
TO = "127.0.0.1:20901"
BLOCKED = rows.ACME_HTTP01_BLOCKED_BY_FRONT_PROXY

WELL = {
    "passed on, all else redirected": (f"server {{ {NAMED} {PASSED} location / {{ {REDIRECT} }} }}", STREAM),
    "all passed on": (f"server {{ {NAMED} location / {{ proxy_pass http://192.0.2.1; {WEBSOCKET} }} }}", STREAM),
    "port 80 as TCP": ("", f"server {{ listen {ADDRESS}:80; proxy_pass 192.0.2.1:80; }} {STREAM}"),
    "files of an ACME client": (f"server {{ {NAMED} location /.well-known/ {{ root /srv; }} {REDIRECT[:0]} }}", STREAM),
    "a stateless answer": (
        f'server {{ {NAMED} location ~ ^/\\.well-known/acme-challenge/(.+)$ {{ return 200 "$1.key"; }} }}', STREAM,
    ),
    "passed on by a page of errors": (
        f"server {{ {NAMED} error_page 404 = @app; return 404; location @app {{ proxy_pass http://192.0.2.1; "
        f"{WEBSOCKET} }} }}", STREAM,
    ),
    "redirected with two slashes": (
        f"server {{ {NAMED} {REDIRECT.replace('$request', '/$request')} }} server {{ listen {ADDRESS}:{TLS} ssl; "
        "ssl_certificate x; ssl_certificate_key x; location ^~ /.well-known/acme-challenge/ { root /srv; } }", "",
    ),
    "redirected to one who passes it on": (
        f"server {{ {NAMED} {REDIRECT} }} server {{ listen {ADDRESS}:{TLS} ssl; ssl_certificate x; ssl_certificate_key"
        f" x; location / {{ proxy_pass http://192.0.2.1; {WEBSOCKET} }} }}", "",
    ),
}  # fmt: skip
ILL: dict[str, tuple[str, str, Kind]] = {
    "a redirect with the name of the server": (
        f"server {{\n    {NAMED}\n    return 301 https://$server_name:20443$request_uri;\n}}", STREAM, BLOCKED,
    ),
    "a login by auth_request": (
        f"server {{\n    {NAMED}\n    auth_request /auth;\n    location = /auth {{ proxy_pass http://192.0.2.9; }}\n"
        f"    location / {{ proxy_pass http://192.0.2.1; {WEBSOCKET} }}\n}}",
        STREAM, BLOCKED,
    ),
    "a login that is told what a module knows": (
        f"server {{\n    {NAMED}\n    auth_request /auth;\n    auth_request_set $who $upstream_http_x_who;\n"
        f"    error_page 401 = @login;\n    location = /auth {{ proxy_pass http://192.0.2.9; }}\n"
        f"    location @login {{ return 302 http://{HOST}:{PLAIN}/login?as=$who; }}\n"
        f"    location /login {{ auth_request off; return 403; }}\n"
        f"    location / {{ proxy_pass http://192.0.2.1; {WEBSOCKET} }}\n}}",
        STREAM, BLOCKED,
    ),
    "a return of one line": (f"server {{ {NAMED} return 404; }}", STREAM, BLOCKED),
    "a default site": (
        f"server {{ listen {PLAIN} default_server; root /srv; location / {{ try_files $uri =404; }} }}",
        STREAM, BLOCKED,
    ),
    "a location that no return lets through": (
        f"server {{\n  {NAMED}\n  {PASSED}\n  return 404;\n}}", STREAM, BLOCKED,
    ),
    "a certbot's redirect": (
        f"server {{\n  if ($host = {HOST}) {{\n    return 302 https://$server_name:20443/gone;\n  }}\n"
        f"  {NAMED}\n  return 404;\n}}",
        STREAM, BLOCKED,
    ),
    "a rewrite": (f"server {{\n  {NAMED}\n  rewrite ^ /index.html;\n  root /srv;\n}}", STREAM, BLOCKED),
    "another location's regular expression": (
        f"server {{\n  {NAMED}\n  location ~ /\\. {{ deny all; }}\n  location / {{ proxy_pass http://192.0.2.1; }}\n}}",
        STREAM, BLOCKED,
    ),
    "a path that is cut": (
        f"server {{ {NAMED} location /.well-known/acme-challenge/ {{ proxy_pass http://192.0.2.1/; }} }}",
        STREAM, BLOCKED,
    ),
    "a password": (
        f"server {{\n  {NAMED}\n  auth_basic x;\n  location / {{ proxy_pass http://192.0.2.1; {WEBSOCKET} }}\n}}",
        STREAM, BLOCKED,
    ),
    "a redirect to itself": (f"server {{ {NAMED} return 301 http://$host:{PLAIN}$request_uri; }}", STREAM, BLOCKED),
    "files behind the redirect": (
        f"server {{ {NAMED} {REDIRECT} }} server {{ listen {ADDRESS}:{TLS} ssl; root /srv; }}", "", BLOCKED,
    ),
    "a name that is lost": (
        f"server {{ {NAMED} location / {{ proxy_pass http://192.0.2.1; }} }}", STREAM, rows.HOST_LOST,
    ),
    "nobody on port 80": ("", STREAM, rows.NO_SERVER_ON_PORT_80),
    "nobody on port 80 of an http block": (
        f"server {{ listen {ADDRESS}:{TLS + 1} ssl; server_name other.example; }}", STREAM, rows.NO_SERVER_ON_PORT_80,
    ),
}  # fmt: skip


def written(folder: Path, http: str, stream: str) -> Path:
    """A file that any user's nginx would take, were it not for the certificates."""
    Nginx(folder)._write(http, stream)
    return folder / "nginx.conf"


def facts(main: Path, to: str = TO, changed: dict[str, str] | None = None) -> Facts:
    return Facts(front_of(read(main, changed)), (HOST,), (ADDRESS,), to)


def looked(main: Path, to: str = TO) -> Examination:
    seen = facts(main, to)
    return examine(seen, checks(seen))


def codes(found: Examination) -> list[str]:
    return [finding.code for finding in found.findings]


@pytest.mark.parametrize("case", WELL)
def test_what_lets_a_challenge_through_gives_no_finding(tmp_path: Path, case: str) -> None:
    found = looked(written(tmp_path, *WELL[case]))
    assert codes(found) == []
    assert next(one for one in found.results if "challenge" in one.name).outcome is Outcome.WELL


@pytest.mark.parametrize(
    ("inside", "seen"),
    [
        ("if ($geoip_country_code != NL) { return 403; }", False),
        ("set $away $geoip_country_code; if ($away = NL) { return 403; }", False),
        ("if ($geoip_country_code != NL) { access_log off; }", True),
    ],
    ids=["by a module's variable", "by what was set of it", "what answers nobody"],
)
def test_what_the_files_do_not_decide_is_not_said_to_be_well(tmp_path: Path, inside: str, seen: bool) -> None:
    http = f"server {{ {NAMED} location / {{ {inside} proxy_pass http://192.0.2.1; {WEBSOCKET} }} }}"
    found = looked(written(tmp_path, http, STREAM))
    assert codes(found) == []
    challenge = next(one for one in found.results if "challenge" in one.name)
    assert challenge.outcome is (Outcome.WELL if seen else Outcome.SKIPPED)
    assert seen or "taken as not so" in challenge.why_skipped


def test_what_is_broken_is_told_though_another_file_may_not_be_read(tmp_path: Path) -> None:
    seen = facts(written(tmp_path, *next(iter(WELL.values()))))
    broken, closed = Evidence("a.conf:1", "unexpected end of file"), Evidence("b.conf", "permission denied")
    configuration = replace(seen.front.configuration, errors=(broken,), unread=(closed,))
    seen = replace(seen, front=replace(seen.front, configuration=configuration))
    assert codes(examine(seen, checks(seen))) == [rows.CONFIGURATION_BROKEN.code]


def test_a_page_for_all_that_is_not_there_answers_and_does_not_fail(tmp_path: Path) -> None:
    spa = "root /srv/app; location / { try_files $uri $uri/ /index.html; }"
    [one] = looked(written(tmp_path, f"server {{ {NAMED} {spa} }}", STREAM)).findings
    assert "answers from the files below /srv/app" in one.failure.cause


def test_a_status_that_is_none_does_not_end_the_doctor(tmp_path: Path) -> None:
    """nginx refuses it; whoever asks why gets an answer."""
    http = f"server {{ {NAMED} error_page 404 =2x0 @x; location / {{ return 404; }}"
    http += " location @x { return 200 x; } }"
    assert looked(written(tmp_path, http, "")).results


@pytest.mark.parametrize("case", ILL)
def test_what_keeps_a_challenge_away_is_named_by_its_line(tmp_path: Path, case: str) -> None:
    http, stream, kind = ILL[case]
    main = written(tmp_path, http, stream)
    found = [one for one in looked(main).findings if one.code == kind.code]
    assert len(found) == 1
    file, _, line = found[0].subject.rpartition(":")
    assert file == str(main)
    assert 1 <= int(line) <= len(main.read_text().splitlines())
    assert found[0].failure.evidence


@pytest.mark.skipif(bool(missing(stream=True)), reason=missing(stream=True) or "nginx is there")
@pytest.mark.parametrize("case", [case for case in ILL if case != "nobody on port 80"])
def test_the_diff_helps_and_nginx_takes_it(tmp_path: Path, case: str) -> None:
    http, stream, _ = ILL[case]
    main = written(tmp_path, http, stream)
    made = patch(facts(main), HOST, ADDRESS)
    assert made is not None
    mended = facts(main, changed=dict(made.after))
    assert list(blocked(mended, HOST, ADDRESS)) == []

    diff = tmp_path / "it.diff"
    diff.write_text(f"{made.diff}\n")
    ran = subprocess.run(
        ["git", "apply", "--unsafe-paths", "-p1", "--directory=/", str(diff)], cwd="/", capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr + made.diff
    assert main.read_text() == made.after[str(main)]
    if "ssl" not in http:
        command = [*Nginx(tmp_path)._command(), "-t"]
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
        assert tried.returncode == 0, tried.stderr


def test_a_server_is_added_where_none_listens_on_port_80(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text("events {}\nstream { server { listen 192.0.2.56:443; proxy_pass 192.0.2.61:443; } }\n")
    seen = Facts(front_of(read(main)), (HOST,))
    (finding,) = examine(seen, checks(seen)).findings
    assert finding.code == rows.NO_SERVER_ON_PORT_80.code
    made = patch(seen, HOST, "192.0.2.56")
    assert made is not None
    text = made.after[str(main)]
    assert "listen 192.0.2.56:80;" in text
    assert "proxy_pass http://192.0.2.61:80;" in text
    assert list(blocked(replace(seen, front=front_of(read(main, {str(main): text}))), HOST, "192.0.2.56")) == []


def test_where_443_goes_is_where_challenges_go(tmp_path: Path) -> None:
    main = written(tmp_path, ILL["a return of one line"][0], STREAM)
    made = patch(facts(main, to=""), HOST, ADDRESS)
    assert made is not None
    assert "proxy_pass http://192.0.2.61:80;" in made.diff


def test_a_diff_keeps_every_line_that_is_not_its_own(tmp_path: Path) -> None:
    http, stream, _ = ILL["a redirect with the name of the server"]
    main = written(tmp_path, http, stream)
    made = patch(facts(main), HOST, ADDRESS)
    assert made is not None
    gone = [line[1:].strip() for line in made.diff.splitlines() if re.match(r"-[^-]", line)]
    come = [line[1:].strip() for line in made.diff.splitlines() if re.match(r"\+[^+]", line)]
    assert gone == ["return 301 https://$server_name:20443$request_uri;"]
    assert come == [
        "location ^~ /.well-known/acme-challenge/ {",
        f"proxy_pass http://{TO};",
        "proxy_set_header Host $host;",
        "}",
        "location / {",
        "return 301 https://$host:20443$request_uri;",
        "}",
    ]


@pytest.mark.parametrize(
    ("shown", "outcome", "confidence"),
    [
        pytest.param(None, Outcome.SKIPPED, None, id="nobody looked"),
        pytest.param("", Outcome.WELL, None, id="a certificate that holds"),
        pytest.param("self-signed certificate", Outcome.ILL, Confidence.LIKELY, id="ingress.local"),
    ],
)
def test_a_redirect_to_a_port_that_is_handed_on_is_judged_by_what_is_shown_there(
    tmp_path: Path, shown: str | None, outcome: Outcome, confidence: Confidence | None
) -> None:
    seen = facts(written(tmp_path, f"server {{ {NAMED} {REDIRECT} }}", STREAM))
    seen = replace(seen, shown={} if shown is None else {(HOST, ADDRESS): shown})
    found = next(one for one in examine(seen, checks(seen)).results if "challenge" in one.name)
    assert found.outcome is outcome
    assert [one.confidence for one in found.findings] == ([confidence] if confidence else [])


@pytest.mark.parametrize(
    ("inside", "remedy"),
    [
        ("return 301 https://$server_name:20443$request_uri;", "Write $host for $server_name"),
        ("server_name_in_redirect on; return 301 /x;", "Take server_name_in_redirect out"),
    ],
    ids=["by its variable", "by a setting"],
)
def test_a_redirect_that_names_the_server_sends_other_names_elsewhere(tmp_path: Path, inside: str, remedy: str) -> None:
    names = NAMED.replace(HOST, f"first.example {HOST}")
    main = written(tmp_path, f"server {{ {names} {inside} }}", STREAM)
    found = looked(main)
    assert rows.REDIRECT_REWRITES_HOST.code in codes(found)
    assert any("first.example" in one.failure.cause for one in found.findings)
    assert any(remedy in one.failure.remedy for one in found.findings)
    first = replace(facts(main), hosts=("first.example",))
    assert rows.REDIRECT_REWRITES_HOST.code not in codes(examine(first, checks(first)))


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        pytest.param("proxy_set_header Host $host;", rows.WEBSOCKET_CUT.code, id="no Upgrade"),
        pytest.param(WEBSOCKET.replace("proxy_http_version 1.1;", ""), rows.WEBSOCKET_CUT.code, id="HTTP/1.0"),
        pytest.param(f"{WEBSOCKET} proxy_buffering on;", rows.STREAM_HELD_BACK.code, id="buffered"),
        pytest.param(f"{WEBSOCKET} proxy_read_timeout 10s;", rows.STREAM_HELD_BACK.code, id="ten seconds"),
        pytest.param(f"{WEBSOCKET} proxy_read_timeout 1h;", "", id="an hour"),
        pytest.param(f"{WEBSOCKET} proxy_buffering off;", "", id="well"),
        pytest.param(WEBSOCKET.replace("upgrade;", "$upgraded;"), "", id="by a map"),
    ],
)
def test_sessions_need_websockets_and_streams(tmp_path: Path, inside: str, code: str) -> None:
    upgraded = "map $http_upgrade $upgraded { default upgrade; '' close; }"
    http = f"{upgraded} server {{ {NAMED} location / {{ proxy_pass http://192.0.2.1; {inside} }} }}"
    assert codes(looked(written(tmp_path, http, ""))) == ([code] if code else [])


def test_sessions_are_looked_for_below_the_path_that_is_passed_on(tmp_path: Path) -> None:
    main = written(
        tmp_path, f"server {{ {NAMED} root /srv; location /binder/ {{ proxy_pass http://192.0.2.1; }} }}", ""
    )
    facts = Facts(front_of(read(main)), (HOST,), (ADDRESS,), base="/binder/")
    assert rows.WEBSOCKET_CUT.code in codes(examine(facts, checks(facts)))
    elsewhere = replace(facts, base="/")
    assert rows.WEBSOCKET_CUT.code not in codes(examine(elsewhere, checks(elsewhere)))
    assert listeners.hands_on(facts.front, HOST, ADDRESS, "/binder/")
    assert not listeners.hands_on(facts.front, HOST, ADDRESS, "/")


@pytest.mark.parametrize(
    ("http", "stream", "conflict"),
    [
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "80", True),
        ("127.0.0.2:80", "127.0.0.1:80", False),
        ("127.0.0.1:80", "127.0.0.1:443", False),
        ("[::]:80", "80", False),
        ("[::]:80 ipv6only=off", "127.0.0.1:80", True),
    ],
)
def test_http_and_stream_cannot_have_one_port(tmp_path: Path, http: str, stream: str, conflict: bool) -> None:
    main = written(tmp_path, f"server {{ listen {http}; }}", f"server {{ listen {stream}; proxy_pass 192.0.2.1:80; }}")
    found = [one for one in looked(main).findings if one.code == rows.LISTEN_CONFLICT.code]
    assert bool(found) is conflict
    assert all(one.foreseen for one in found)


def test_what_is_handed_on_to_nobody_is_its_own(tmp_path: Path) -> None:
    main = written(tmp_path, "server { listen 20080; server_name www.example; root /srv; }", "")
    front = front_of(read(main))
    unasked = Facts(front, listeners.hosts(front), named=False)
    assert examine(unasked, checks(unasked)).well
    asked = replace(unasked, named=True)
    assert codes(examine(asked, checks(asked))) == [BLOCKED.code]


def test_what_cannot_be_read_leaves_the_rest_to_be_judged_less_surely(tmp_path: Path) -> None:
    main = written(tmp_path, f"server {{ {NAMED} return 404; }} include large;", STREAM)
    (tmp_path / "large").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    found = looked(main)
    assert found.results[0].outcome is Outcome.UNSEEN
    assert "large" in found.results[0].why_skipped
    assert [(one.code, one.confidence) for one in found.findings] == [(BLOCKED.code, Confidence.LIKELY)]


@pytest.mark.parametrize(
    ("name", "inside", "judged"),
    [
        pytest.param("git.example", "location / { proxy_pass http://192.0.2.1; }", False, id="another program"),
        pytest.param("gitlab.example", "location / { proxy_pass http://gitlab; }", False, id="lab is no word there"),
        pytest.param("hub.example", "location / { proxy_pass http://192.0.2.1; }", True, id="by its name"),
        pytest.param("a.example", "location ~ /(user|hub)/ { proxy_pass http://192.0.2.1; }", True, id="by a path"),
        pytest.param("a.example", "location / { proxy_pass http://jupyterhub; }", True, id="by an upstream"),
    ],
)
def test_other_sites_of_a_shared_nginx_are_not_judged_as_a_jupyter(
    tmp_path: Path, name: str, inside: str, judged: bool
) -> None:
    main = written(tmp_path, f"server {{ listen 20080; server_name {name}; {inside} }}", "")
    front = front_of(read(main))
    unasked = Facts(front, listeners.hosts(front), named=False)
    assert (rows.WEBSOCKET_CUT.code in codes(examine(unasked, checks(unasked)))) is judged
    asked = replace(unasked, named=True)
    assert rows.WEBSOCKET_CUT.code in codes(examine(asked, checks(asked)))


def test_a_broken_file_is_said_and_nothing_is_concluded_from_it(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text("events {}\nhttp {\n    server {\n        listen 80;\n        return 404;\n    }\n")
    found = looked(main)
    assert set(codes(found)) == {rows.CONFIGURATION_BROKEN.code}
    assert {one.outcome for one in found.results[1:]} == {Outcome.SKIPPED}


def test_a_handshake_that_is_refused_for_a_name_is_told_as_that(tmp_path: Path) -> None:
    """Of a redirect to https, where only the names that have a certificate are answered."""
    closed = f"server {{ listen {ADDRESS}:{TLS} ssl default_server; ssl_reject_handshake on; }}"
    main = written(tmp_path, f"server {{ {NAMED} {REDIRECT} }} {closed}", "")
    (found, *_) = looked(main).findings
    assert found.failure.kind is BLOCKED
    assert "ssl_reject_handshake on at" in found.failure.cause
    assert "closes the connection" in found.failure.cause


def test_a_pattern_that_nginx_alone_can_read_is_not_taken_to_match_nothing(tmp_path: Path) -> None:
    """PCRE's reset of branches, which Python does not know."""
    alone = "location ~ (?|/a(.)|/b(.)) { return 403; }"
    for inside, outcome in ((alone, Outcome.SKIPPED), (f"{alone} {PASSED}", Outcome.WELL)):
        http = f"server {{ {NAMED} {inside} location / {{ proxy_pass http://192.0.2.1; {WEBSOCKET} }} }}"
        found = looked(written(tmp_path, http, STREAM))
        (challenge,) = (one for one in found.results if "challenge" in one.name)
        assert (challenge.outcome, codes(found)) == (outcome, [])
