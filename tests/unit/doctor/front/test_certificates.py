"""What the certificates that an nginx shows are worth to browsers, by the files that it names."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.nginx.reading import read
from perijove.certifying import files
from perijove.doctor.engine import Outcome, examine
from perijove.doctor.front.diagnosis import checks
from perijove.doctor.front.judge import Facts
from perijove.doctor.front.servers import front_of
from perijove.domain.certificate_failures import CHAIN_BROKEN, NAMES_MISSING, NOT_VALID_NOW
from perijove.domain.failures import Kind
from perijove.domain.findings import Confidence, Finding
from perijove.domain.front_failures import FILE_NOT_INCLUDED
from perijove.domain.site_failures import CERTIFICATE_UNTRUSTED
from tests.fakes.private_ca import DAY, PrivateCa

HOST = "binder.example"
PASSED = "location / { proxy_pass http://192.0.2.1; }"


def facts(folder: Path, text: str) -> Facts:
    main = folder / "nginx.conf"
    main.write_text(f"events {{}}\nhttp {{ include conf.d/*.conf; include sites-enabled/*; {text} }}\n")
    return Facts(front_of(read(main)), (HOST,), now=time.time())


def shown(folder: Path, chain: Path, ca: PrivateCa, *, known: bool = True) -> tuple[list[Finding], Outcome]:
    """What is told of a server that shows this chain; `known`: whether browsers have that root."""
    server = (
        f"server {{ listen 443 ssl; server_name {HOST}; ssl_certificate {chain}; ssl_certificate_key k; {PASSED} }}"
    )
    asked = replace(facts(folder, server), roots=(ca.root,) if known else (PrivateCa(folder / "other").root,))
    if chain.exists():
        asked = replace(asked, chains={str(chain): files.read(str(chain))})
    results = examine(asked, checks(asked)).results
    (one,) = [one for one in results if one.name == f"nginx.certificate/{HOST}"]
    return list(one.findings), one.outcome


@pytest.fixture
def ca(tmp_path: Path) -> PrivateCa:
    return PrivateCa(tmp_path / "ca")


def test_a_chain_that_browsers_follow_is_well_and_one_that_is_not_there_was_not_seen(
    tmp_path: Path, ca: PrivateCa
) -> None:
    between = PrivateCa(tmp_path / "between", "Issuing CA", ca)
    assert shown(tmp_path, between.leaf(HOST).chain, ca) == ([], Outcome.WELL)
    assert shown(tmp_path, tmp_path / "nowhere.pem", ca) == ([], Outcome.SKIPPED)


@pytest.mark.parametrize(
    ("case", "kind", "cites"),
    [
        ("the intermediate has ended", NOT_VALID_NOW, "certificate 2 (CN=Issuing CA)"),
        ("the leaf has ended", NOT_VALID_NOW, "it ended on"),
        ("no intermediate", CHAIN_BROKEN, "Issuing CA's certificate is not there"),
        ("no intermediate of an authority of one's own", CHAIN_BROKEN, "Issuing CA's certificate is not there"),
        ("another name", NAMES_MISSING, f"{HOST} is not among them"),
        ("a root that phones do not have", CERTIFICATE_UNTRUSTED, "signed by CN=Loopback test root"),
    ],
)
def test_what_browsers_refuse_is_told_by_what_is_wrong(
    tmp_path: Path, ca: PrivateCa, case: str, kind: Kind, cites: str
) -> None:
    ends = -DAY if case == "the intermediate has ended" else 30 * DAY
    between = PrivateCa(tmp_path / "between", "Issuing CA", ca, ends)
    private = case == "no intermediate of an authority of one's own"
    between.offers = "" if private else "http://ca.example/issuing.der"
    until = -DAY if case == "the leaf has ended" else 20 * DAY
    leaf = between.leaf("other.example" if case == "another name" else HOST, valid_from=-30 * DAY, valid_until=until)
    if case.startswith("no intermediate"):
        leaf.chain.write_bytes(leaf.chain.read_bytes().removesuffix(between.file.read_bytes()))
    (found,), _ = shown(tmp_path, leaf.chain, ca, known=case != "a root that phones do not have")
    assert found.failure.kind is kind
    assert cites in f"{found.failure.cause} {found.failure.evidence}"
    unsure = private or kind is CERTIFICATE_UNTRUSTED
    assert found.confidence is (Confidence.POSSIBLE if unsure else Confidence.CERTAIN)


def test_what_was_found_is_told_beside_a_file_that_could_not_be_read(tmp_path: Path, ca: PrivateCa) -> None:
    ended = ca.leaf(HOST, valid_from=-30 * DAY, valid_until=-DAY).chain
    servers = "".join(
        f"server {{ listen {address}:443 ssl; server_name {HOST}; ssl_certificate {chain}; {PASSED} }}"
        for address, chain in (("192.0.2.1", ended), ("192.0.2.2", "nowhere.pem"))
    )
    asked = replace(facts(tmp_path, servers), roots=(ca.root,), chains={str(ended): files.read(str(ended))})
    (result,) = [one for one in examine(asked, checks(asked)).results if one.name == f"nginx.certificate/{HOST}"]
    assert [one.failure.kind for one in result.findings] == [NOT_VALID_NOW]


def test_a_name_that_no_certificate_can_be_compared_with_is_said_to_be_unseen(tmp_path: Path, ca: PrivateCa) -> None:
    chain = ca.leaf("*.example").chain
    name = "my_host.example"
    asked = facts(tmp_path, f"server {{ listen 443 ssl; server_name {name}; ssl_certificate {chain}; {PASSED} }}")
    asked = replace(asked, hosts=(name,), roots=(ca.root,), chains={str(chain): files.read(str(chain))})
    (result,) = [one for one in examine(asked, checks(asked)).results if one.name == f"nginx.certificate/{name}"]
    assert (result.outcome, result.findings) == (Outcome.SKIPPED, ())


def test_another_site_s_certificate_is_not_held_against_a_name_of_plain_http(tmp_path: Path, ca: PrivateCa) -> None:
    chain = ca.leaf("other.example").chain
    other = f"server {{ listen 443 ssl; server_name other.example; ssl_certificate {chain}; {PASSED} }}"
    asked = facts(tmp_path, f"server {{ listen 80; server_name {HOST}; {PASSED} }} {other}")
    asked = replace(asked, roots=(ca.root,), chains={str(chain): files.read(str(chain))})
    (result,) = [one for one in examine(asked, checks(asked)).results if one.name == f"nginx.certificate/{HOST}"]
    assert result.outcome is Outcome.SKIPPED


SITE = f"server {{\n  listen 80;\n  server_name www.{HOST} {HOST};\n}}\n"


@pytest.mark.parametrize(
    "name", ["conf.d/binder", "conf.d/binder.conf.off", "sites-available/binder", "vhosts.d/b.conf"]
)
def test_a_file_that_no_include_takes_is_told_where_its_name_has_no_server(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(SITE)
    asked = facts(tmp_path, "server { listen 80 default_server; return 404; }")
    told = [root.finding for root in examine(asked, checks(asked)).told]
    assert [(one.failure.kind, one.subject) for one in told] == [(FILE_NOT_INCLUDED, f"{tmp_path / name}:3")]


def test_a_file_that_was_left_out_is_no_fault_where_its_name_is_handed_on(tmp_path: Path) -> None:
    (tmp_path / "sites-available").mkdir()
    (tmp_path / "sites-available/binder").write_text(SITE)
    asked = facts(tmp_path, f"server {{ listen 80; listen 443; server_name _; {PASSED} }}")
    (result,) = [one for one in examine(asked, checks(asked)).results if one.name == f"nginx.server/{HOST}"]
    assert result.outcome is Outcome.WELL


def test_a_file_that_is_linked_or_stands_beside_the_one_in_use_is_well(tmp_path: Path) -> None:
    for name in ("sites-available", "sites-enabled", "conf.d"):
        (tmp_path / name).mkdir()
    (tmp_path / "sites-available/binder").write_text(SITE)
    (tmp_path / "sites-enabled/binder").symlink_to("../sites-available/binder")
    (tmp_path / "conf.d/binder.conf.bak").write_text(SITE)
    asked = facts(tmp_path, "")
    results = {one.name: one.outcome for one in examine(asked, checks(asked)).results}
    assert results[f"nginx.server/{HOST}"] is Outcome.WELL
