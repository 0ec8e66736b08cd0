"""The record of dns-persist-01: what it must hold, and what is wrong with one that stands."""

from __future__ import annotations

import pytest

from perijove.certifying.persistent import account_hash, before_order, judged
from perijove.domain.certificates import Account, CaDirectory, Confidence, DnsSeen
from perijove.domain.persistent_record import PersistentRecord

ACCOUNT = Account("https://ca.example/acct/123", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
NOW = 1_800_000_000.0
RECORD = PersistentRecord("_validation-persist.a.example", ("ca.example", "ca.test"), (ACCOUNT.url,), wildcard=False)
WILD = PersistentRecord("_validation-persist.a.example", ("ca.example",), (ACCOUNT.url,), wildcard=True)
GOOD = "ca.example; accounturi=https://ca.example/acct/123"
SERVERS = ("198.51.100.1:53", "198.51.100.2:53")


def told(*texts: str, server: str = SERVERS[0]) -> DnsSeen:
    return DnsSeen(RECORD.name, "TXT", "answered" if texts else "no-record", texts, server)


@pytest.mark.parametrize(
    ("domain", "hashed"),
    [
        ("example.com", "5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw"),
        ("*", "NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug"),
    ],
)
def test_accounts_are_hashed_as_the_draft_does_it(domain: str, hashed: str) -> None:
    """draft-ietf-acme-dns-persist-02, 10.2."""
    assert account_hash(domain, ACCOUNT) == f"sha-256/{hashed}"


def test_a_directory_with_a_prefix_has_accounts_named_by_hashes() -> None:
    directory = CaDirectory("u", issuer_domain_names=("ca.example",), account_hash_prefix="https://ca.example/h/")
    record = before_order("*.Example.com", (), directory, ACCOUNT)
    assert record is not None
    hashed = "https://ca.example/h/sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw"
    assert record.line == (
        f'_validation-persist.example.com. IN TXT "ca.example; accounturi={hashed}; policy=wildcard"'
    )
    any_domain = hashed.replace("5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw", account_hash("*", ACCOUNT)[8:])
    assert judged(record, [told(f"ca.example;accounturi={any_domain};policy=wildcard")], NOW) is None


def test_nothing_is_proposed_before_the_ca_and_the_account_are_known() -> None:
    assert before_order("a.example", (), CaDirectory("u"), ACCOUNT) is None
    assert before_order("a.example", (), CaDirectory("u", caa_identities=("ca.example",)), None) is None


def test_a_long_record_is_several_strings() -> None:
    record = PersistentRecord("n", ("ca.example",), ("https://ca.example/" + "x" * 300,), wildcard=False)
    strings = record.line.removeprefix("n. IN TXT ").strip('"').split('" "')
    assert (max(map(len, strings)), "".join(strings)) == (255, record.value)


@pytest.mark.parametrize(
    ("text", "record"),
    [
        pytest.param(GOOD, RECORD, id="as proposed"),
        pytest.param("ca.test;\taccounturi=https://ca.example/acct/123", RECORD, id="by its other name, with a tab"),
        pytest.param(f"{GOOD}; policy=wildcard", RECORD, id="for more than is asked"),
        pytest.param(f"{GOOD}; POLICY=WildCard", WILD, id="whatever its case"),
        pytest.param(f"{GOOD}; future=yes; future=no", RECORD, id="with what nobody knows yet"),
        pytest.param(f"{GOOD}; persistUntil={int(NOW)}", RECORD, id="until this second"),
    ],
)
def test_a_record_is_right(text: str, record: PersistentRecord) -> None:
    assert judged(record, [told("v=spf1 -all", text)], NOW) is None


@pytest.mark.parametrize(
    ("texts", "record", "cause"),
    [
        pytest.param((), RECORD, "there is no TXT record at", id="none"),
        pytest.param(("v=spf1 -all",), RECORD, "none names ca.example or ca.test", id="another's"),
        pytest.param(("CA.example.",), RECORD, "the one for ca.example names no account", id="without account"),
        pytest.param((GOOD + "4",), RECORD, "names the account https://ca.example/acct/1234", id="another account"),
        pytest.param((GOOD.upper(),), RECORD, "names the account HTTPS://", id="URIs are compared as they are"),
        pytest.param((GOOD + ";",), RECORD, "a semicolon follows", id="a semicolon at the end"),
        pytest.param((f"{GOOD};; policy=wildcard",), RECORD, "a semicolon follows", id="an empty parameter"),
        pytest.param((f"{GOOD}; wildcard",), RECORD, "“wildcard” is no tag=value", id="no parameter"),
        pytest.param((f"{GOOD}; AccountURI=x",), RECORD, "it has two accounturi", id="twice"),
        pytest.param((f"{GOOD}; a=b c",), RECORD, "a character that may not", id="a space in a value"),
        pytest.param((GOOD,), WILD, "policy=wildcard is missing", id="not for the wildcard"),
        pytest.param((f"{GOOD}; persistUntil=1700000000",), RECORD, "has passed: 2023-11-14", id="over"),
        pytest.param((f"{GOOD}; persistUntil=soon",), RECORD, "persistUntil is no Unix time", id="no time"),
        pytest.param(("ca.test; accounturi=x", GOOD), WILD, "policy=wildcard is missing", id="the nearest is told"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_record_is_told(texts: tuple[str, ...], record: PersistentRecord, cause: str) -> None:
    found = judged(record, [told(*texts)], NOW)
    assert found is not None
    assert cause in found[0].cause
    assert record.line in found[0].remedy
    assert found[1] is Confidence.CERTAIN


def test_every_server_of_the_zone_must_show_it() -> None:
    found = judged(RECORD, [told(GOOD), told(server=SERVERS[1])], NOW)
    assert found is not None
    assert found[0].cause.startswith(f"{SERVERS[1]} does not show")
    assert "secondaries" in found[0].remedy


def test_a_server_that_is_silent_counts_where_no_other_answers() -> None:
    silent = DnsSeen(RECORD.name, "TXT", "no-answer", (), SERVERS[1])
    assert judged(RECORD, [told(GOOD), silent], NOW) is None
    found = judged(RECORD, [silent], NOW)
    assert found is not None
    assert found[1] is Confidence.INSIDE


def test_a_server_of_this_network_may_not_be_the_one_that_cas_ask() -> None:
    found = judged(RECORD, [told(server="10.0.0.53:53")], NOW)
    assert found is not None
    assert found[1] is Confidence.INSIDE
