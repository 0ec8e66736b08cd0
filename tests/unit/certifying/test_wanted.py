from __future__ import annotations

from dataclasses import replace

import pytest

from perijove.certifying.wanted import LETSENCRYPT, LETSENCRYPT_STAGING, ZEROSSL, is_local, wanted
from perijove.domain.certificate_settings import CertificatesSettings, HostSettings, IssuerSettings
from perijove.domain.certificates import CertificateSpec, ChallengeType, Issuer, IssuerKind
from perijove.domain.failures import BAD_SETTINGS, Fail
from perijove.domain.settings import ServiceSettings, Settings

HOST = "binder.example.org"


def spec(host: str = HOST, /, **values: object) -> CertificateSpec:
    certificates = replace(CertificatesSettings(), **values)  # type: ignore[arg-type]
    (found,) = wanted(Settings(service=ServiceSettings(hosts=(host,)), certificates=certificates))
    return found


def issuer(host: str = HOST, /, **values: object) -> Issuer:
    (found,) = spec(host, **values).issuers
    return found


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True), ("binder.localhost", True), ("pi.local", True), ("binder.internal", True),
        ("nas.home.arpa", True), ("binder.test", True), ("binder", True), ("192.168.1.7", True),
        ("127.0.0.1", True), ("fd00::1", True), ("binder.example.org", False), ("8.8.8.8", False),
        ("2606:4700::1111", False), ("*.example.org", False),
    ],
)  # fmt: skip
def test_names_of_this_machine_are_signed_here_and_others_by_letsencrypt(host: str, local: bool) -> None:
    assert is_local(host) is local
    settings = {} if not host.startswith("*") else {"dns": "rfc2136"}
    assert issuer(host, **settings).name == ("local" if local else "letsencrypt")


def test_without_names_the_service_is_localhost() -> None:
    (found,) = wanted(Settings())
    assert (found.host, found.issuers[0].kind) == ("localhost", IssuerKind.LOCAL)


def test_with_http_alone_nothing_is_wanted() -> None:
    assert wanted(Settings(service=ServiceSettings(http=("127.0.0.1:8000",)))) == ()


KNOWN = [
    pytest.param("letsencrypt", LETSENCRYPT, LETSENCRYPT_STAGING, id="letsencrypt"),
    pytest.param("letsencrypt-staging", LETSENCRYPT_STAGING, "", id="its staging"),
    pytest.param("zerossl", ZEROSSL, "", id="zerossl"),
    pytest.param(LETSENCRYPT, LETSENCRYPT, LETSENCRYPT_STAGING, id="letsencrypt by its URL"),
]


@pytest.mark.parametrize(("name", "directory", "staging"), KNOWN)
def test_issuers_known_by_name(name: str, directory: str, staging: str) -> None:
    found = issuer(issuers=(name,), email="me@example.org", profile="tlsserver")
    assert (found.directory, found.staging) == (directory, staging)
    assert (found.email, found.profile, found.kind) == ("me@example.org", "tlsserver", IssuerKind.ACME)


def test_an_issuer_by_its_url_has_what_goes_with_it() -> None:
    values = {"acme_ca": "/etc/ca.pem", "eab_kid": "kid", "eab_key_file": "/etc/mac"}
    found = issuer(issuers=("https://ca.example:14000/dir",), **values)
    assert found == Issuer(
        "ca.example:14000/dir", IssuerKind.ACME, "https://ca.example:14000/dir", ca_file="/etc/ca.pem",
        eab_kid="kid", eab_key_file="/etc/mac",
    )  # fmt: skip
    assert issuer(issuers=("letsencrypt",), **values).eab_kid == "", "a binding is for the CA that gave it"
    assert issuer(issuers=("zerossl",), **values).eab_kid == "kid"


def test_issuers_of_the_operator_s_own() -> None:
    own = {
        "campus": IssuerSettings(directory="https://acme.example.edu/dir", ca_file="/etc/campus.pem", profile="short"),
        "bought": IssuerSettings(chain="/etc/chain.pem", key="/etc/key.pem"),
        "zerossl": IssuerSettings(eab_kid="kid", eab_key_file="/etc/mac"),
    }
    campus, bought, zero = spec(issuers=("campus", "bought", "zerossl"), issuer=own, email="me@example.org").issuers
    assert campus == Issuer(
        "campus", IssuerKind.ACME, "https://acme.example.edu/dir", "", "/etc/campus.pem", "me@example.org", "short"
    )
    assert bought == Issuer("bought", IssuerKind.FILES, chain_file="/etc/chain.pem", key_file="/etc/key.pem")
    assert (zero.directory, zero.eab_kid) == (ZEROSSL, "kid")


def test_what_differs_for_one_host() -> None:
    own = {HOST: HostSettings(issuers=("zerossl",), challenges=(ChallengeType.TLS_ALPN,))}
    service = ServiceSettings(hosts=(HOST, "wiki.example.org"))
    first, second = wanted(Settings(service=service, certificates=CertificatesSettings(host=own, rehearse=False)))
    assert (first.issuers[0].name, first.challenges) == ("zerossl", (ChallengeType.TLS_ALPN,))
    assert (second.issuers[0].name, second.challenges) == ("letsencrypt", ())
    assert not first.rehearse


def test_addresses_get_the_profile_by_which_they_are_issued_unless_one_is_chosen() -> None:
    assert issuer("8.8.8.8").profile == "shortlived"
    assert issuer("8.8.8.8", profile="other").profile == "other"
    assert issuer("8.8.8.8", issuers=("https://ca.example/dir",)).profile == ""


BAD = [
    pytest.param(HOST, {"issuers": ("nobody",)}, "knows no issuer 'nobody'", id="an issuer nobody knows"),
    pytest.param(HOST, {"issuers": ("http://ca.example/dir",)}, "knows no issuer", id="a directory without TLS"),
    pytest.param(
        HOST, {"issuers": ("own",), "issuer": {"own": IssuerSettings(chain="/c")}}, "both chain and key", id="no key"
    ),
    pytest.param(
        HOST,
        {"issuers": ("own",), "issuer": {"own": IssuerSettings(chain="/c", key="/k", directory="https://x")}},
        "not both",
        id="files and a directory",
    ),
    pytest.param(HOST, {"issuers": ("own",), "issuer": {"own": IssuerSettings()}}, "needs a directory", id="nothing"),
    pytest.param(
        HOST,
        {"issuers": ("own",), "issuer": {"own": IssuerSettings(directory="https://x", eab_kid="k")}},
        "both eab_kid and eab_key_file",
        id="half a binding",
    ),
    pytest.param(HOST, {"issuers": ("zerossl",), "eab_kid": "k"}, "go together", id="half a binding for all"),
    pytest.param("*.example.org", {"challenges": ("http-01",), "dns": "x"}, "must hold dns-01", id="wildcard by http"),
    pytest.param("*.example.org", {}, "certificates.dns must be set", id="a wildcard without DNS"),
    pytest.param(HOST, {"challenges": ("dns-01",)}, "needs certificates.dns", id="dns-01 without DNS"),
    pytest.param(HOST, {"challenges": ("http-02",)}, "must be of http-01", id="a challenge nobody knows"),
    pytest.param("8.8.8.8", {"challenges": ("dns-01",), "dns": "x"}, "more than dns-01", id="an address by DNS"),
    pytest.param("Binder.Example.org", {}, "in lower case", id="upper case"),
    pytest.param("-binder.example.org", {}, "as DNS knows them", id="a label that is none"),
    pytest.param("*.org", {"dns": "x"}, "no CA issues for", id="a wildcard of all"),
    pytest.param(
        HOST, {"host": {HOST: HostSettings(issuers=("nobody",))}}, f'certificates.host."{HOST}".issuers', id="host"
    ),
]


@pytest.mark.parametrize(("host", "values", "words"), BAD)
def test_wishes_that_nobody_can_fulfil_are_bad_settings(host: str, values: dict[str, object], words: str) -> None:
    with pytest.raises(Fail) as caught:
        spec(host, **values)
    assert caught.value.failure.kind is BAD_SETTINGS
    assert words in caught.value.failure.cause


def test_a_wildcard_may_be_shown_by_a_record_that_stays() -> None:
    assert spec("*.example.org", challenges=("dns-persist-01",)).challenges == ("dns-persist-01",)
    with pytest.raises(Fail, match="more than dns-persist-01 for the address"):
        spec("8.8.8.8", challenges=("dns-persist-01",))


def test_a_wildcard_may_come_from_here_without_any_proof() -> None:
    assert issuer("*.example.test").kind is IssuerKind.LOCAL


def sessions(*names: str, **values: object) -> CertificateSpec:
    """The wish for what sessions are reached by."""
    certificates = replace(CertificatesSettings(), **values)  # type: ignore[arg-type]
    service = ServiceSettings(hosts=(HOST, "wiki.example.org"), session_hosts=names)
    first, second, found = wanted(Settings(service=service, certificates=certificates))
    assert (first.names, second.names) == ((HOST,), ("wiki.example.org",))
    return found


def test_the_names_of_sessions_are_wanted_together() -> None:
    found = sessions("s1.example.org", "s2.example.org")
    assert (found.host, found.names) == ("s1.example.org", ("s1.example.org", "s2.example.org"))
    own = {"s1.example.org": HostSettings(issuers=("zerossl",))}
    assert sessions("s1.example.org", "s2.example.org", host=own).issuers[0].name == "zerossl"
    assert sessions("s1.internal", "s2.internal").issuers[0].kind is IssuerKind.LOCAL
    assert sessions("s1.internal", "s2.example.org").issuers[0].name == "letsencrypt"


def test_a_profile_for_few_names_is_told_before_the_ca_is_asked() -> None:
    names = tuple(f"s{number}.example.org" for number in range(26))
    assert len(sessions(*names).names) == 26
    assert sessions(*names[:25], profile="shortlived").issuers[0].profile == "shortlived"
    with pytest.raises(Fail, match="25 names at most"):
        sessions(*names, profile="shortlived")


def test_each_of_several_names_must_be_one_that_a_ca_can_be_shown() -> None:
    with pytest.raises(Fail, match=r"the wildcard \*.run.example.org"):
        sessions("s1.example.org", "*.run.example.org")
    assert sessions("s1.example.org", "*.run.example.org", dns="rfc2136").host == "s1.example.org"
