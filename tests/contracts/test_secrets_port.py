"""The port Secrets: a key for each attempt, a chain that is verified before anybody sees it, one current secret."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from perijove.backends.secrets import DiskSecrets
from perijove.certifying.secret import names, new_key, read_chain, read_key
from perijove.domain.certificate_failures import CHAIN_BROKEN, KEY_MISMATCH, NAMES_MISSING, NOT_VALID_NOW
from perijove.domain.certificate_ports import Secrets
from perijove.domain.certificates import Issuer, IssuerKind, Secret
from perijove.domain.failures import Fail, Failure, Kind
from perijove.domain.ports import Clock
from perijove.domain.state import State
from tests.fakes.private_ca import DAY, PrivateCa
from tests.fakes.world import FakeClock

HOST, ORDER = "binder.example.org", "binder.example.org-1"
CAMPUS = Issuer("campus", IssuerKind.ACME, "https://ca.example.org/dir")
Make = Callable[[State, Clock], Secrets]


@dataclass
class Shelf:
    """Secrets, a CA to fill them, and what comes after a restart."""

    state: State
    ca: PrivateCa
    make: Make

    @property
    def secrets(self) -> Secrets:
        """As they are found afresh: nothing is remembered between two uses."""
        return self.make(self.state, FakeClock(time.time()))

    def staged(self, order: str = ORDER, host: str = HOST) -> Secret:
        return self.secrets.stage(
            order, host, self.ca.signed(self.secrets.request(order, host)), CAMPUS, CAMPUS.directory
        )

    def kept(self, order: str = ORDER, host: str = HOST) -> Secret:
        secret = self.staged(order, host)
        self.secrets.keep(secret)
        return secret


@pytest.fixture(params=[pytest.param(DiskSecrets, id="on disk")])
def shelf(state: State, tmp_path: Path, request: pytest.FixtureRequest) -> Shelf:
    return Shelf(state, PrivateCa(tmp_path / "ca"), request.param)


def refused(kind: Kind, act: Callable[[], object]) -> Failure:
    with pytest.raises(Fail) as caught:
        act()
    assert caught.value.failure.kind is kind
    return caught.value.failure


@pytest.mark.parametrize("host", [HOST, "*.example.org", "192.0.2.1", "2001:db8::1"])
def test_from_a_request_to_the_current_secret(shelf: Shelf, host: str) -> None:
    request = x509.load_der_x509_csr(shelf.secrets.request(f"{host}-1", host))
    assert names(request) == (host,)
    secret = shelf.kept(f"{host}-1", host)
    assert (secret.host, secret.issuer, secret.directory) == (host, "campus", CAMPUS.directory)
    assert secret.names == (host,)
    assert shelf.secrets.current(host) == secret
    key = read_key(secret.key.read_bytes(), "key").public_key()
    assert key == read_chain(secret.chain.read_bytes(), "chain")[0].public_key() == request.public_key()


def test_an_attempt_s_key_is_made_once_and_each_attempt_has_its_own(shelf: Shelf) -> None:
    def key_of(order: str) -> object:
        return x509.load_der_x509_csr(shelf.secrets.request(order, HOST)).public_key()

    assert key_of(ORDER) == key_of(ORDER)
    assert key_of(ORDER) != key_of("binder.example.org-2")


def test_what_is_staged_is_not_current_and_is_found_again(shelf: Shelf) -> None:
    secret = shelf.staged()
    assert shelf.secrets.current(HOST) is None
    assert shelf.secrets.staged(HOST, secret.revision) == secret
    assert shelf.secrets.staged(HOST, "20260101-0123456789abcdef") is None
    assert shelf.secrets.staged("other.example.org", secret.revision) is None


def test_a_chain_staged_twice_is_the_same_secret(shelf: Shelf) -> None:
    """Whoever died after staging it, and before saying so, does it again."""
    chain = shelf.ca.signed(shelf.secrets.request(ORDER, HOST))
    secret = shelf.secrets.stage(ORDER, HOST, chain, CAMPUS, CAMPUS.directory)
    assert shelf.secrets.stage(ORDER, HOST, chain, CAMPUS, CAMPUS.directory) == secret
    shelf.secrets.keep(secret)
    assert shelf.secrets.stage(ORDER, HOST, chain, CAMPUS, CAMPUS.directory) == secret
    assert shelf.secrets.current(HOST) == secret


def test_the_same_chain_of_another_issuer_is_another_secret(shelf: Shelf) -> None:
    made = shelf.ca.leaf(HOST)
    first = shelf.secrets.take(HOST, made.chain.read_bytes(), made.key.read_bytes(), "files")
    second = shelf.secrets.take(HOST, made.chain.read_bytes(), made.key.read_bytes(), "import")
    assert (first.issuer, second.issuer) == ("files", "import")
    assert first.revision != second.revision


def test_the_old_one_stays_until_the_new_one_is_kept(shelf: Shelf) -> None:
    first = shelf.kept()
    second = shelf.staged("binder.example.org-2")
    assert shelf.secrets.current(HOST) == first
    shelf.secrets.keep(second)
    assert shelf.secrets.current(HOST) == second


def test_only_the_last_one_is_kept_beside_the_current(shelf: Shelf) -> None:
    secrets = [shelf.kept(f"{HOST}-{number}") for number in range(4)]
    found = [shelf.secrets.staged(HOST, one.revision) for one in secrets]
    assert found == [None, None, *secrets[2:]]
    shelf.secrets.keep(secrets[3])
    assert shelf.secrets.staged(HOST, secrets[2].revision) == secrets[2], "keeping it again forgets nothing"


def test_one_that_was_staged_later_outlives_the_keeping_of_another(shelf: Shelf) -> None:
    early, late = shelf.staged(), shelf.staged(f"{HOST}-2")
    shelf.secrets.keep(early)
    assert shelf.secrets.staged(HOST, late.revision) == late
    shelf.secrets.keep(late)
    assert shelf.secrets.current(HOST) == late


def test_hosts_know_nothing_of_one_another(shelf: Shelf) -> None:
    hosts = ("example.org", "*.example.org", "a.example.org", "2001:db8::1")
    secrets = {host: shelf.kept(f"{host}-1", host) for host in hosts}
    assert {host: shelf.secrets.current(host) for host in hosts} == secrets


def test_an_attempt_that_is_dropped_leaves_nothing(shelf: Shelf) -> None:
    chain = shelf.ca.signed(shelf.secrets.request(ORDER, HOST))
    shelf.secrets.drop(ORDER, HOST)
    shelf.secrets.drop(ORDER, HOST)
    refused(KEY_MISMATCH, lambda: shelf.secrets.stage(ORDER, HOST, chain, CAMPUS, ""))


def test_dropping_an_attempt_leaves_what_was_staged(shelf: Shelf) -> None:
    secret = shelf.staged()
    shelf.secrets.drop(ORDER, HOST)
    assert shelf.secrets.staged(HOST, secret.revision) == secret


def test_a_chain_that_is_not_right_is_refused_and_the_attempt_goes_on(shelf: Shelf, tmp_path: Path) -> None:
    first = shelf.kept("binder.example.org-0")
    request = shelf.secrets.request(ORDER, HOST)
    other = shelf.ca.signed(shelf.secrets.request("www.example.org-1", "www.example.org"))
    leaf = shelf.ca.signed(request).partition(b"-----END CERTIFICATE-----\n")
    impostor = PrivateCa(tmp_path / "impostor").file.read_bytes()
    for kind, chain in (
        (KEY_MISMATCH, other),
        (NOT_VALID_NOW, shelf.ca.signed(request, -2 * DAY, -DAY)),
        (CHAIN_BROKEN, leaf[0] + leaf[1] + impostor),
    ):
        refused(kind, lambda chain=chain: shelf.secrets.stage(ORDER, HOST, chain, CAMPUS, ""))  # type: ignore[misc]
    assert shelf.secrets.current(HOST) == first
    assert shelf.staged().not_after > first.not_before, "the right one is taken after all"


def test_a_chain_for_another_name_is_refused(shelf: Shelf) -> None:
    made = shelf.ca.leaf("www.example.org")
    chain, key = made.chain.read_bytes(), made.key.read_bytes()
    assert HOST in refused(NAMES_MISSING, lambda: shelf.secrets.take(HOST, chain, key, "files")).cause
    refused(KEY_MISMATCH, lambda: shelf.secrets.take("www.example.org", chain, new_key(), "files"))


def test_a_chain_whose_signer_has_ended_is_refused(shelf: Shelf) -> None:
    """The leaf holds for weeks, and no browser follows it."""
    ended = PrivateCa(shelf.ca.folder / "ended", "Issuing CA", shelf.ca, -DAY).leaf(HOST, valid_from=-30 * DAY)
    chain, key = ended.chain.read_bytes(), ended.key.read_bytes()
    failure = refused(NOT_VALID_NOW, lambda: shelf.secrets.take(HOST, chain, key, "import"))
    assert failure.evidence[0].where == "certificate 2, which signed it"


def test_somebody_s_files_are_taken_and_kept_and_may_be_taken_again(shelf: Shelf) -> None:
    made = shelf.ca.leaf(HOST)
    first = shelf.secrets.take(HOST, made.chain.read_bytes(), made.key.read_bytes(), "files")
    assert (first.issuer, first.directory) == ("files", "")
    shelf.secrets.keep(first)
    again = shelf.secrets.take(HOST, made.chain.read_bytes(), made.key.read_bytes(), "files")
    assert again == first == shelf.secrets.current(HOST)


SEVERAL = ("s1.example.org", "s2.example.org", "s3.example.org")


def together(shelf: Shelf, *wanted: str, called: str = SEVERAL[0]) -> Secret:
    order = f"{called}-1"
    chain = shelf.ca.signed(shelf.secrets.request(order, called, wanted))
    secret = shelf.secrets.stage(order, called, chain, CAMPUS, CAMPUS.directory, wanted)
    shelf.secrets.keep(secret)
    return secret


def test_one_secret_may_be_for_several_names_and_says_which_it_was_got_for(shelf: Shelf) -> None:
    secret = together(shelf, *SEVERAL)
    assert (secret.host, secret.ordered, set(secret.names)) == (SEVERAL[0], SEVERAL, set(SEVERAL))
    assert shelf.secrets.current(SEVERAL[0]) == secret
    assert shelf.kept().ordered == ()


def test_a_chain_that_lacks_one_of_several_names_is_refused_by_that_name(shelf: Shelf) -> None:
    chain = shelf.ca.signed(shelf.secrets.request("s1.example.org-1", SEVERAL[0], SEVERAL[:2]))
    told = refused(
        NAMES_MISSING,
        lambda: shelf.secrets.stage("s1.example.org-1", SEVERAL[0], chain, CAMPUS, "", SEVERAL),
    )
    assert told.cause == "s3.example.org is not among them"


def test_a_certificate_whose_first_name_changes_takes_over_the_one_that_is_for_most_of_its_names(shelf: Shelf) -> None:
    shelf.kept()
    together(shelf, "s3.example.org", called="s3.example.org")
    old = together(shelf, *SEVERAL)
    shelf.secrets.adopt("s2.example.org", ("s2.example.org", "s3.example.org"))
    found = shelf.secrets.current("s2.example.org")
    assert found is not None
    assert (found.fingerprint, found.ordered, found.issuer) == (old.fingerprint, SEVERAL, "campus")
    assert found.key.read_bytes() == old.key.read_bytes()
    shelf.secrets.adopt("x.example.net", ("x.example.net", "y.example.net"))
    assert shelf.secrets.current("x.example.net") is None
