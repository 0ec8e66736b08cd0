"""Configurations of nginx that others published with what came of them: what the doctor makes of each. Group I."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from perijove.backends.nginx.reading import read
from perijove.doctor.engine import examine
from perijove.doctor.front.diagnosis import checks
from perijove.doctor.front.judge import Facts
from perijove.doctor.front.servers import front_of
from perijove.domain.findings import Confidence

PASSED = "proxy_set_header Host $host;"
UPGRADED = (
    f'{PASSED} proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
)


@dataclass(frozen=True)
class Row:
    """The lines that decided there, who published them, and what they come to for a name."""

    name: str
    source: str
    http: str
    host: str
    roots: tuple[str, ...]
    cites: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


ROWS = [
    Row(
        "the first name of an address", "LibreTexts/metalc: two names behind 192.0.2.56",
        "server { listen 80; server_name binder.example binderhub.example; "
        "return 301 https://$server_name$request_uri; }",
        "binderhub.example", ("front.redirect-rewrites-host",), ("return 301 https://$server_name$request_uri",),
        ("websocket", "certificate has expired"),
    ),
    Row(
        "kernels only at the root", "jupyter/notebook#625",
        f"upstream notebook {{ server localhost:8888; }} server {{ listen 443 ssl; "
        "server_name notebook.mydomain.com; ssl_certificate /home/u/certificates/ipythoncert.pem; "
        f"location / {{ proxy_pass https://notebook; {PASSED} }} "
        f"location /api/kernels/ {{ proxy_pass https://notebook; {PASSED} proxy_http_version 1.1; "
        'proxy_set_header Upgrade "websocket"; proxy_set_header Connection "Upgrade"; proxy_read_timeout 86400; } }',
        "notebook.mydomain.com", ("front.no-server-on-port-80", "front.websocket-cut"),
        ("localhost:8888", "location /"), ("buffering",),
    ),
    Row(
        "no Upgrade at all", 'jupyter/notebook#6154: Can "Upgrade" only to "WebSocket".',
        "server { listen 80; server_name lab.example; location / { proxy_pass http://localhost:8888; "
        f"{PASSED} }} }}",
        "lab.example", ("front.websocket-cut",), ("localhost:8888",), ("port 80 is", "buffering"),
    ),
    Row(
        "logs that come all at once", "jupyterhub/binderhub#487",
        f"server {{ listen 80; server_name binder.example; location / {{ proxy_pass http://10.0.0.1:80; {UPGRADED} "
        "proxy_buffering on; } }",
        "binder.example", ("front.stream-held-back",), ("10.0.0.1:80", "proxy_buffering is on"), ("websocket",),
    ),
    Row(
        "a list of the addresses of websockets", "jupyterhub/jupyterhub#637",
        "server { listen 80 default_server; server_name _; "
        f"location / {{ proxy_pass http://127.0.0.1:8123; {PASSED} }} "
        "location ~* /(api/kernels/[^/]+/(channels|iopub|shell|stdin)|terminals/websocket)/? { "
        f"proxy_pass http://127.0.0.1:8123; {UPGRADED} proxy_read_timeout 86400; }} }}",
        "hub.example", (),
    ),
    Row(
        "the hub and its users alone", "jupyterhub/jupyterhub#2981",
        "server { listen 80; server_name hub.example; location ~ ^/(hub|user)/ { proxy_pass http://localhost:8700; "
        f"{UPGRADED} proxy_redirect off; }} }}",
        "hub.example", ("front.acme-http01-blocked-by-front-proxy",), ("listen 80",), ("websocket",),
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_others_published(tmp_path: Path, row: Row) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text(f"events {{}}\nhttp {{ {row.http} }}\n")
    facts = Facts(front_of(read(main, None)), (row.host,))
    roots = [one.finding for one in examine(facts, checks(facts)).told]
    assert tuple(one.code for one in roots) == row.roots
    told = " ".join(f"{one.failure.cause} {one.failure.evidence}" for one in roots)
    assert [one for one in row.cites if one not in told] == []
    own = " ".join((*(one.failure.cause + one.failure.remedy for one in roots),)).lower()
    assert [one for one in row.silent if one.lower() in own] == []


def test_a_site_of_plain_http_may_want_no_certificate(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text(f"events {{}}\nhttp {{ {ROWS[-1].http} }}\n")
    facts = Facts(front_of(read(main, None)), (ROWS[-1].host,))
    [root] = examine(facts, checks(facts)).told
    assert root.finding.confidence is Confidence.POSSIBLE
    told = replace(facts, to="127.0.0.1:8089")
    [root] = examine(told, checks(told)).told
    assert root.finding.confidence is Confidence.CERTAIN, "somebody said who answers challenges"
