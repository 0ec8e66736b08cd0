"""Certificates on the command line: what is printed, asked of the service, and left as exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from perijove.certifying.keeper import REASONS
from perijove.cli.certificates import Reason
from perijove.cli.columns import KINDS
from perijove.domain.certificate_events import Certified, Waiting
from perijove.domain.certificate_failures import PORT_REFUSED, REDIRECT_NOT_FORWARDED
from perijove.domain.events import Failed
from perijove.domain.failures import Evidence
from tests.fakes.certificate_desk import CHAIN, KEY, SERVED, TOKEN, VERDICT, WAITING
from tests.unit.cli.conftest import Shell

ATTEMPT = f"{WAITING}-1"


@pytest.mark.parametrize(
    ("words", "columns", "rows"),
    [
        pytest.param(
            ("certs",), "NAME READY SECRET PROBLEM AGE",
            [[WAITING, "False", WAITING, REDIRECT_NOT_FORWARDED.code, "Ns"], [SERVED, "True", SERVED, "-", "28d"]],
            id="certificates",
        ),
        pytest.param(
            ("orders",), "NAME STATE ISSUER REASON AGE",
            [[ATTEMPT, "pending", "letsencrypt", REDIRECT_NOT_FORWARDED.code, "Ns"],
             [f"{SERVED}-1", "valid", "letsencrypt", "-", "Ns"]], id="orders",
        ),
        pytest.param(
            ("challenge",), "NAME STATE DOMAIN TYPE REASON AGE",
            [[f"{ATTEMPT}-1", "pending", WAITING, "http-01", "the answer stands", "Ns"]], id="challenges",
        ),
        pytest.param(
            ("challenges", "-o", "wide"), "NAME STATE DOMAIN TYPE REASON PRESENTED PROCESSING AGE",
            [[f"{ATTEMPT}-1", "pending", WAITING, "http-01", "the answer stands", "true", "false", "Ns"]],
            id="challenges, wide",
        ),
        pytest.param(
            ("issuers",), "NAME READY KIND AGE",
            [["letsencrypt", "True", "acme", "3d"], ["acme.example/a/dir", "Unknown", "acme", "-"]], id="issuers",
        ),
        pytest.param(
            ("issuer", "letsencrypt", "-o", "wide"), "NAME READY KIND STATUS DIRECTORY EMAIL AGE",
            [["letsencrypt", "True", "acme", "it takes orders", "https://ca.example/dir", "me@example.org", "3d"]],
            id="one issuer, wide",
        ),
        pytest.param(
            ("secrets",), "NAME TYPE DATA AGE", [[SERVED, "kubernetes.io/tls", "2", "28d"]], id="secrets",
        ),
    ],
)  # fmt: skip
def test_each_kind_has_the_columns_that_operators_know(
    perijove: Shell, words: tuple[str, ...], columns: str, rows: list[list[str]]
) -> None:
    ran = perijove("get", *words)
    assert ran.status == 0, ran.err
    assert ran.cells() == [columns.split(), *rows]


def test_wide_certificates_say_issuer_status_expiration_and_renewal_before_their_age(perijove: Shell) -> None:
    head, waiting, served = perijove("get", "certificates", "-o", "wide").cells()
    assert head == ["NAME", "READY", "SECRET", "PROBLEM", "ISSUER", "STATUS", "EXPIRATION", "RENEWAL", "AGE"]
    assert waiting[4:8] == ["letsencrypt", "There is none yet", "-", "-"]
    assert served[5] == "Certificate is up to date and has not expired"
    assert served[6].endswith("Z")
    assert served[7] < served[6]


def test_events_are_told_as_kubectl_tells_them(perijove: Shell) -> None:
    head, *rows = perijove("get", "ev").cells()
    assert head == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert [row[1:4] for row in rows] == [
        ["Normal", "Issuing", f"order/{ATTEMPT}"],
        ["Warning", "NotReachable", f"order/{ATTEMPT}"],
        ["Normal", "IssuerChosen", f"order/{ATTEMPT}"],
        ["Normal", "OrderCreated", f"order/{ATTEMPT}"],
        ["Normal", "Presented", f"order/{ATTEMPT}"],
    ]
    assert "[cert.redirect-not-forwarded]" in rows[1][4]


def test_lists_as_json_and_yaml_are_the_same_list_of_objects(perijove: Shell) -> None:
    told = json.loads(perijove("get", "certs", "-o", "json").out)
    assert (told["apiVersion"], told["kind"]) == ("perijove/v1", "List")
    assert [one["kind"] for one in told["items"]] == ["Certificate", "Certificate"]
    names = [one["metadata"]["name"] for one in yaml.safe_load(perijove("get", "certs", "-o", "yaml").out)["items"]]
    assert names == [one["metadata"]["name"] for one in told["items"]] == [WAITING, SERVED]


def test_one_object_is_printed_by_itself(perijove: Shell) -> None:
    told = yaml.safe_load(perijove("get", "cert", SERVED, "-o", "yaml").out)
    assert told["status"]["conditions"][0] | {"lastTransitionTime": ""} == {
        "type": "Ready", "status": "True", "reason": "Ready",
        "message": "Certificate is up to date and has not expired", "lastTransitionTime": "",
    }  # fmt: skip
    assert perijove("get", "sessions", "-o", "yaml").out == "[]\n"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "events"])
def test_an_object_that_is_not_there_is_said_with_status_1_and_what_lists_those_that_are(
    perijove: Shell, kind: str
) -> None:
    ran = perijove("describe", kind, "none.example.org")
    assert ran.status == 1
    assert "none.example.org" in ran.err
    assert "platform.no-such-object" in ran.err
    assert f"`perijove get {kind}` lists" in ran.err


@pytest.mark.parametrize(
    "words", [*(("get", kind) for kind in KINDS if not KINDS[kind].of_certificates), ("user", "list"), ("base", "show")]
)
def test_a_list_of_nothing_is_words(perijove: Shell, words: tuple[str, str]) -> None:
    ran = perijove(*words)
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.startswith("No")


def test_describe_opens_with_the_verdict(perijove: Shell) -> None:
    ran = perijove("describe", "certificate", WAITING)
    assert ran.status == 0, ran.err
    assert ran.lines[0].startswith("✗ ")
    assert VERDICT.partition(":")[0] in ran.lines[0]
    assert "cert.redirect-not-forwarded · can be put right by whoever runs this service" in ran.out
    assert perijove("describe", "cert", SERVED).lines[0] == f"✓ Ready: {SERVED} is served by R11 for 61 d."


def test_describe_shows_the_chain_beneath_the_certificate(perijove: Shell) -> None:
    ran = perijove("describe", "cert", WAITING)
    words = [line.split() for line in ran.lines]
    heads = ["Spec", "Status", "Conditions", f"Order {ATTEMPT}: pending", "Events"]
    assert [line for line in ran.lines if line in heads] == heads, "in this order"
    assert ["Issuing", "True", "DoesNotExist", "Ns", "there", "is", "no", "certificate", "yet"] in words
    order = ran.lines.index(f"Order {ATTEMPT}: pending")
    assert ran.lines[order + 1].split() == ["Issuer:", "letsencrypt", "(its", "rehearsal)"]
    assert f"  Challenge http-01 for {WAITING}: pending, presented" in ran.lines[order:]
    assert ["TYPE", "REASON", "AGE", "MESSAGE"] in words


@pytest.mark.parametrize(
    ("kind", "name", "first", "holds"),
    [
        ("order", ATTEMPT, "pending: Port 80 is redirected", "Rehearsal: yes"),
        ("challenge", f"{ATTEMPT}-1", "pending: the answer stands", "Presented: yes"),
        ("issuer", "letsencrypt", "it takes orders", "server https://ca.example/dir"),
        ("issuer", "acme.example/a/dir", "nobody has asked it yet", "Unknown NotAskedYet"),
        ("secret", SERVED, "valid until ", "Serial: 0a1b2c"),
    ],
)
def test_what_belongs_to_a_certificate_is_described(
    perijove: Shell, kind: str, name: str, first: str, holds: str
) -> None:
    ran = perijove("describe", kind, name)
    assert ran.status == 0, ran.err
    assert ran.lines[0].startswith(first)
    assert any(holds in " ".join(line.split()) for line in ran.lines), ran.out


def test_no_token_no_key_and_no_command_to_the_terminal_is_ever_shown(perijove: Shell) -> None:
    said = "".join(
        perijove(*words).out
        for words in (
            *((("get", kind, "-o", form)) for kind in ("certs", "orders", "challenges", "secrets", "events")
              for form in ("wide", "json", "yaml")),
            ("describe", "cert", WAITING), ("describe", "order", ATTEMPT), ("describe", "challenge", f"{ATTEMPT}-1"),
            ("describe", "secret", SERVED),
        )
    )  # fmt: skip
    assert WAITING in said
    assert TOKEN not in said
    assert KEY not in said
    assert "\x1b" not in said
    assert "\\x1b[2Jevil" in said, "shown, not obeyed"


def test_an_attempt_is_followed_to_its_certificate(perijove: Shell) -> None:
    perijove.hall.tell(Certified("1"))
    ran = perijove("cert", "issue", WAITING)
    assert ran.status == 0, ran.err
    assert perijove.desk.told == [("issue", WAITING, False)]
    steps = [line.split()[2] for line in ran.out.splitlines() if line[:6].strip().replace(".", "").isdigit()]
    assert steps == ["Issuing", "NotReachable", "IssuerChosen", "OrderCreated", "Presented", "Certified"]
    assert "✗ Port 80 is redirected, and Perijove is never asked: nginx/1.22.1" in ran.out


def test_an_attempt_that_fails_leaves_status_1_with_evidence_and_remedy(perijove: Shell) -> None:
    failure = PORT_REFUSED("192.0.2.1:80 refuses connections", Evidence("TCP to 192.0.2.1:80", "[Errno 111]"))
    perijove.hall.tell(Waiting("the CA has been processing the order since 12 s", None, 0), Failed(failure))
    ran = perijove("cert", "renew", WAITING, "--force")
    assert ran.status == 1
    assert perijove.desk.told == [("issue", WAITING, True)]
    assert "… the CA has been processing the order since 12 s" in ran.out
    for part in (PORT_REFUSED.title, PORT_REFUSED.remedy, "TCP to 192.0.2.1:80: [Errno 111]", PORT_REFUSED.code):
        assert part in ran.out


def test_an_attempt_need_not_be_waited_for(perijove: Shell) -> None:
    ran = perijove("cert", "issue", WAITING, "--no-wait")
    assert ran.status == 0
    assert ran.out.startswith(f"order {ATTEMPT} begun")


def begin(perijove: Shell, *words: str) -> subprocess.Popen[str]:
    """The program in a pipe, as a dumb terminal has it."""
    command = [sys.executable, "-m", "perijove", *words, "--state", str(perijove.state.root)]
    environ = {**os.environ, "TERM": "dumb"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=environ)


def test_steps_are_told_as_they_happen(perijove: Shell) -> None:
    with begin(perijove, "cert", "issue", WAITING) as program:
        assert program.stdout is not None
        try:
            while "Presented" not in program.stdout.readline():
                assert program.poll() is None
            perijove.hall.tell(Certified("1"))
            assert "Certified" in program.stdout.read()
            assert program.wait(20) == 0
        finally:
            program.kill()


def test_watched_certificates_are_told_again_when_they_change(perijove: Shell) -> None:
    with begin(perijove, "get", "certs", "-w") as program:
        assert program.stdout is not None
        try:
            first = [program.stdout.readline().split()[:2] for _ in range(3)]
            assert first == [["NAME", "READY"], [WAITING, "False"], [SERVED, "True"]]
            perijove.hall.do(perijove.desk.records.clear)
            perijove.hall.tell(Waiting("the CA", None, 0))
            assert [program.stdout.readline().split()[0] for _ in range(2)] == [WAITING, SERVED], "both are gone"
        finally:
            program.kill()


def test_revoking_asks_first(perijove: Shell) -> None:
    with begin(perijove, "cert", "revoke", SERVED) as program:
        program.communicate("n\n", timeout=20)
    assert program.returncode == 1
    assert perijove.desk.told == []
    ran = perijove("cert", "revoke", SERVED, "--yes", "--reason", "keyCompromise")
    assert (ran.status, perijove.desk.told) == (0, [("revoke", SERVED, "keyCompromise")])
    assert f"certificate of {SERVED} revoked" in ran.out
    again = perijove("cert", "revoke", SERVED, "--yes", "--reason", "keyCompromise")
    assert again.status == 1
    assert "cert.revoked" in again.err


def test_the_reasons_are_those_that_the_keeper_knows() -> None:
    assert [one.value for one in Reason] == list(REASONS)


def test_a_certificate_of_one_s_own_is_handed_over(perijove: Shell, tmp_path: Path) -> None:
    (tmp_path / "chain").write_text(CHAIN)
    (tmp_path / "key").write_text(KEY)
    ran = perijove("cert", "import", SERVED, "--chain", str(tmp_path / "chain"), "--key", str(tmp_path / "key"))
    assert ran.status == 0, ran.err
    assert perijove.desk.told == [("import", SERVED, CHAIN, KEY, str(tmp_path / "chain"))]
    assert ran.out.startswith(f"certificate of {SERVED} imported, valid until {time.strftime('%Y-')[:3]}")
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    ran = perijove("cert", "import", SERVED, "--chain", str(tmp_path / "chain"), "--key", str(tmp_path / "key"))
    assert ran.status == 1
    assert "cert.file-form" in ran.err
    assert perijove("cert", "import", SERVED, "--chain", "none", "--key", "none").status == 2


def test_the_key_goes_out_only_where_a_place_is_named_for_it(perijove: Shell, tmp_path: Path) -> None:
    assert perijove("cert", "export", SERVED).out == CHAIN
    assert perijove("cert", "export", SERVED, "--key", "-").out == KEY + CHAIN
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    key.write_text("the old one")
    key.chmod(0o644)
    ran = perijove("cert", "export", SERVED, "--chain", str(chain), "--key", str(key))
    assert (ran.status, ran.out) == (0, "")
    assert (chain.read_text(), key.read_text()) == (CHAIN, KEY)
    assert key.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chain.pem", "key.pem"], "nothing aside is left"


def test_a_place_that_cannot_be_written_leaves_status_2(perijove: Shell, tmp_path: Path) -> None:
    ran = perijove("cert", "export", SERVED, "--key", str(tmp_path / "none" / "key.pem"))
    assert ran.status == 2
    assert "No such file" in ran.err


def test_the_root_is_printed_for_whoever_trusts_it_by_hand(perijove: Shell) -> None:
    ran = perijove("trust", "--print")
    assert ran.status == 0, ran.err
    assert ran.out == (perijove.state.local_ca / "root.pem").read_text()
    assert ran.out.startswith("-----BEGIN CERTIFICATE-----")
    assert "SHA-256 fingerprint" in ran.err
    assert str(perijove.state.local_ca / "root.pem") in ran.err


def test_a_root_that_was_never_trusted_need_not_be_taken_out(perijove: Shell) -> None:
    ran = perijove("trust", "--uninstall")
    assert (ran.status, ran.out) == (0, "This machine's store does not hold it.\n")
