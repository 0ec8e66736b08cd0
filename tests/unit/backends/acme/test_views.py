"""A CA's JSON as views, however new or odd."""

from __future__ import annotations

from typing import Any

import pytest

from perijove.backends.acme import views
from perijove.domain.certificates import OrderStatus

URLS = {name: f"https://ca.example/{name}" for name in ("newNonce", "newAccount", "newOrder")}
ORDER = {"status": "pending", "authorizations": ["https://ca.example/a"], "finalize": "https://ca.example/f"}


def test_a_directory_tells_what_it_offers() -> None:
    meta = {
        "profiles": {"classic": "…", "shortlived": "…"},
        "externalAccountRequired": True,
        "termsOfService": "https://ca.example/terms",
        "caaIdentities": ["ca.example"],
    }
    seen = views.directory({**URLS, "renewalInfo": "https://ca.example/ari", "meta": meta, "x": 1}, "u", 3.0)
    assert seen.urls["newOrder"] == URLS["newOrder"]
    offers = seen.offers
    assert (offers.url, offers.profiles, offers.eab_required) == ("u", ("classic", "shortlived"), True)
    assert (offers.terms, offers.caa_identities) == ("https://ca.example/terms", ("ca.example",))
    assert (offers.renewal_info, offers.clock_ahead) == (True, 3.0)


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({"issuerDomainNames": ["ca.example", "xn--bcher-kva.example"]}, ("ca.example", "xn--bcher-kva.example")),
        ({"issuer-domain-names": ["ca.example"]}, ("ca.example",)),
        ({"issuerDomainNames": []}, ()),
        ({"issuerDomainNames": ["ca.example"] * 11}, ()),
        ({"issuerDomainNames": ["CA.example"]}, ()),
        ({"issuerDomainNames": ["ca.example."]}, ()),
        ({"issuerDomainNames": ["ca.example; accounturi=x"]}, ()),
        ({"issuerDomainNames": [3]}, ()),
        ({"issuerDomainNames": "ca.example"}, ()),
        ({"issuerDomainNames": ["a." * 126 + "ab"]}, ()),
    ],
)
def test_the_ca_s_names_for_records_that_stay_are_taken_whole_or_not_at_all(
    told: dict[str, Any], names: tuple[str, ...]
) -> None:
    """draft-ietf-acme-dns-persist-02, 3.1 and 3.2."""
    meta = {**told, "accountHashPrefix": "https://ca.example/h/"}
    offers = views.directory({**URLS, "meta": meta}, "u").offers
    assert (offers.issuer_domain_names, offers.account_hash_prefix) == (names, "https://ca.example/h/")
    challenge = {"type": "dns-persist-01", "url": "c", "accounturi": "https://ca.example/1", **told}
    document = {"identifier": {"value": "a"}, "status": "pending", "challenges": [challenge]}
    (seen,) = views.authorization(document, "u").challenges
    assert (seen.issuer_domain_names, seen.account_uri, seen.token) == (names, "https://ca.example/1", "")


@pytest.mark.parametrize("meta", [None, [], "x", {"profiles": 3, "caaIdentities": "x", "termsOfService": 1}])
def test_a_directory_without_sense_in_its_meta_is_one_all_the_same(meta: Any) -> None:
    offers = views.directory({**URLS, "meta": meta}, "u").offers
    assert (offers.profiles, offers.eab_required, offers.terms, offers.caa_identities) == ((), False, "", ())


@pytest.mark.parametrize("document", [None, [], "x", {}, {**URLS, "newOrder": 3}, {**URLS, "newNonce": "ftp://x"}])
def test_what_is_no_directory_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"it has no new|no object"):
        views.directory(document, "u")


def test_an_order_is_seen_as_it_is() -> None:
    document = {**ORDER, "status": "valid", "certificate": "https://ca.example/c", "expires": "2026-01-02T03:04:05Z"}
    seen = views.order(document, "https://ca.example/o", 5)
    assert (seen.url, seen.status, seen.certificate) == (
        "https://ca.example/o",
        OrderStatus.VALID,
        document["certificate"],
    )
    assert (seen.authorizations, seen.finalize) == (("https://ca.example/a",), "https://ca.example/f")
    assert (seen.expires, seen.look_again, seen.problem) == (1767323045, 5, None)


def test_an_order_that_ended_keeps_the_whole_problem() -> None:
    error = {"type": "t", "detail": "d", "status": 403, "subproblems": [{"type": "s", "identifier": {"value": "x"}}]}
    seen = views.order({**ORDER, "status": "invalid", "error": error}, "o")
    assert seen.problem is not None
    assert (seen.problem.type, seen.problem.detail, seen.problem.status) == ("t", "d", 403)
    assert seen.problem.document == error


def test_an_order_of_an_unknown_status_has_ended_by_that_name() -> None:
    seen = views.order({**ORDER, "status": "expired"}, "o")
    assert seen.status is OrderStatus.INVALID
    assert seen.problem is not None
    assert seen.problem.detail == 'its status is "expired"'


@pytest.mark.parametrize("document", [None, [], {}, {"status": 3}])
def test_what_is_no_order_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        views.order(document, "o")


def test_an_order_of_odd_parts_is_seen_without_them() -> None:
    seen = views.order({"status": "ready", "authorizations": [1, "a", None], "expires": "soon", "finalize": 3}, "o")
    assert (seen.authorizations, seen.finalize, seen.expires) == (("a",), "", 0)


@pytest.mark.parametrize(
    ("name", "told", "host", "wildcard"),
    [
        ("a.example", {}, "a.example", False),
        ("a.example", {"wildcard": True}, "a.example", True),
        ("*.a.example", {}, "a.example", True),
        ("192.0.2.1", {"wildcard": False}, "192.0.2.1", False),
    ],
)
def test_an_authorization_is_for_a_name(name: str, told: dict[str, Any], host: str, wildcard: bool) -> None:
    document = {"identifier": {"type": "dns", "value": name}, "status": "pending", "challenges": [], **told}
    seen = views.authorization(document, "u")
    assert (seen.host, seen.wildcard, seen.challenges) == (host, wildcard, ())


@pytest.mark.parametrize("status", ["pending", "valid", "expired", "revoked", "deactivated", "of-tomorrow"])
def test_an_authorizations_status_may_be_any_word(status: str) -> None:
    assert views.authorization({"identifier": {"value": "a"}, "status": status}, "u").status == status


def test_challenges_of_newer_types_are_kept() -> None:
    offered = [
        {"type": "http-01", "url": "u1", "token": "t", "status": "invalid", "error": {"type": "e", "detail": "d"}},
        {"type": "dns-persist-01", "url": "u2", "issuer-domain-names": ["ca.example"]},
        "nonsense",
    ]
    document = {"identifier": {"value": "a"}, "status": "pending", "challenges": offered}
    http, newer = views.authorization(document, "u").challenges
    assert (http.token, http.status) == ("t", "invalid")
    assert http.problem is not None
    assert http.problem.detail == "d"
    assert (newer.type, newer.token, newer.status) == ("dns-persist-01", "", "pending")


@pytest.mark.parametrize(
    ("retry_after", "look_again"), [(0.0, 21600), (1.0, 60), (7200.0, 7200), (9e9, 86400)]
)  # fmt: skip
def test_a_renewal_window_is_looked_at_again_within_bounds(retry_after: float, look_again: float) -> None:
    window = {"start": "2026-01-02T04:00:00Z", "end": "2026-01-03T04:00:00+01:00"}
    seen = views.renewal({"suggestedWindow": window, "explanationURL": "https://ca.example/why"}, retry_after)
    assert seen is not None
    assert (seen.start, seen.end) == (1767326400, 1767409200)
    assert (seen.explanation, seen.look_again) == ("https://ca.example/why", look_again)


@pytest.mark.parametrize(
    "window",
    [
        None,
        {},
        {"start": "2026-01-03T04:00:00Z", "end": "2026-01-02T04:00:00Z"},
        {"start": "2026-01-03T04:00:00", "end": "2026-01-04T04:00:00"},
        {"start": "soon", "end": "2026-01-02T04:00:00Z"},
    ],
)
def test_a_window_without_sense_is_none(window: Any) -> None:
    assert views.renewal({"suggestedWindow": window}) is None


def test_what_comes_from_outside_has_an_end() -> None:
    deep: Any = "x"
    for _ in range(50):
        deep = {"a": [deep]}
    seen = views.problem({"type": "t", "detail": "d" * 9999, "deep": deep, "many": list(range(9999))})
    assert len(seen.detail) == views.TEXT
    assert len(seen.document["many"]) == views.MEMBERS
    assert len(str(seen.document["deep"])) < 1000
