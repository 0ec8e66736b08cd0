"""Certificates, challenges, issuers, what is served: a healthy cluster with one of them broken, in others' words."""

from __future__ import annotations

import json

import pytest

from tests.doctor.cluster.test_ground import Case
from tests.doctor.cluster.world import (
    HOST,
    HUB,
    Broken,
    Json,
    ago,
    b64,
    certificate,
    challenge,
    event,
    ingress,
    issuer,
    order,
    pem,
    pod,
    request,
    secret,
    settings,
)  # fmt: skip

SELF_CHECK = "Waiting for http-01 challenge propagation: "
AT = f"'http://{HOST}/.well-known/acme-challenge/tok'"


def challenged(words: str, state: str = "pending", order_state: str = "pending") -> Broken:
    """A certificate that is there already, is being issued anew, and is held by its challenge."""
    return Broken((
        certificate(ready=False),
        request('Waiting on certificate issuance from order binder/binder-tls-1-9: "pending"'),
        order(order_state), challenge(words, state),
    ))  # fmt: skip


SELF_CHECKS = [
    ("cluster.acme-http01-selfcheck-403", "wrong status code '403', expected '200'"),
    ("cluster.acme-http01-selfcheck-403", "wrong status code '401', expected '200'"),
    ("cluster.acme-http01-selfcheck-503", "wrong status code '503', expected '200'"),
    ("cluster.acme-http01-selfcheck-503", "wrong status code '502', expected '200'"),
    ("cluster.acme-http01-selfcheck-failed", "wrong status code '418', expected '200'"),
    (
        "cluster.acme-http01-selfcheck-failed",
        'did not get expected response when querying endpoint, expected "a" but got: b',
    ),
    (
        "cluster.acme-http01-selfcheck-unreachable",
        f'failed to perform self check GET request {AT}: Get "{AT}": dial tcp 198.51.100.9:80: i/o timeout',
    ),
    (
        "cluster.acme-http01-selfcheck-unreachable",
        f'failed to perform self check GET request {AT}: Get "{AT}": dial tcp 198.51.100.9:80: connect: '
        f"connection refused",
    ),
    (
        "cluster.acme-name-unresolved",
        f'failed to perform self check GET request {AT}: Get "{AT}": dial tcp: lookup {HOST} on 10.96.0.10:53: '
        f"no such host",
    ),
]


@pytest.mark.parametrize(("code", "words"), SELF_CHECKS, ids=[f"{code} {words[:24]}" for code, words in SELF_CHECKS])
def test_what_cert_manager_sees_of_its_own_challenge(code: str, words: str) -> None:
    Case(challenged(SELF_CHECK + words), (code,), words[:40]).check()


ANSWERS = [
    (
        "cluster.acme-challenge-unreachable",
        f"Error accepting authorization: acme: authorization error for {HOST}: 400 "
        f"urn:ietf:params:acme:error:connection: "
        "198.51.100.9: Fetching http://x: Timeout during connect (likely firewall problem)",
    ),
    (
        "cluster.acme-challenge-wrong",
        f"Error accepting authorization: acme: authorization error for {HOST}: 403 "
        f"urn:ietf:params:acme:error:unauthorized: "
        "198.51.100.9: Invalid response from https://x: 404",
    ),
    (
        "cluster.acme-name-unresolved",
        f"acme: authorization error for {HOST}: 400 urn:ietf:params:acme:error:dns: DNS problem: NXDOMAIN "
        f"looking up A for x",
    ),
    (
        "cluster.acme-caa",
        f"acme: authorization error for {HOST}: 403 urn:ietf:params:acme:error:caa: CAA record for {HOST} "
        f"prevents issuance",
    ),
    (
        "cluster.acme-caa",
        f"acme: authorization error for {HOST}: 400 urn:ietf:params:acme:error:dns: DNS problem: SERVFAIL "
        f"looking up CAA for x",
    ),
    *(
        ("cluster.acme-dns01-unseen", f"acme: authorization error for {HOST}: {said}")
        for said in (
            f"403 urn:ietf:params:acme:error:unauthorized: No TXT record found at _acme-challenge.{HOST}",
            f'403 urn:ietf:params:acme:error:unauthorized: Incorrect TXT record "x" (and 1 more) found at {HOST}',
            f"400 urn:ietf:params:acme:error:dns: DNS problem: NXDOMAIN looking up TXT for _acme-challenge.{HOST}",
        )
    ),
    (
        "cluster.acme-name-unresolved",
        f"acme: authorization error for {HOST}: 400 no valid A records found for {HOST}; no valid AAAA records found",
    ),
    (
        "cluster.acme-name-refused",
        f"acme: authorization error for {HOST}: 400 urn:ietf:params:acme:error:rejectedIdentifier: Domain name "
        f"is not allowed",
    ),
]


@pytest.mark.parametrize(("code", "words"), ANSWERS, ids=[f"{n}-{code}" for n, (code, _) in enumerate(ANSWERS)])
def test_what_the_ca_says_of_a_challenge(code: str, words: str) -> None:
    Case(challenged(words, "invalid", "invalid"), (code,), words[:60]).check()


def unpresented(words: str) -> Broken:
    """As cert-manager writes it: the bare error in the reason, and a sentence around it in the event alone."""
    held = challenge(words)
    held["status"]["presented"] = False
    told = event(held, "PresentError", f"Error presenting challenge: {words}")
    return Broken((*challenged(words).add[:-1], held, told))


FORBIDDEN = (
    'ingresses.networking.k8s.io is forbidden: User "system:serviceaccount:cert-manager:cert-manager" cannot create '
    'resource "ingresses" in API group "networking.k8s.io" in the namespace "binderhub"'
)


def test_a_challenge_that_could_not_be_set_up() -> None:
    words = "error looking up a zone of rfc2136: connection refused"
    Case(unpresented(words), ("cluster.challenge-not-presented",), f"Error presenting challenge: {words}").check()
    words = (
        'admission webhook "validate.nginx.ingress.kubernetes.io" denied the request: ingress contains invalid paths: '
        "path /.well-known/acme-challenge/tok cannot be used with pathType Exact"
    )
    Case(unpresented(words), ("cluster.pathtype-exact-refused",), "pathType Exact").check()
    chain = ("cluster.challenge-forbidden", "cluster.challenge-not-presented")
    Case(unpresented(FORBIDDEN), chain, 'cannot create resource "ingresses"').check()


def test_a_challenge_that_cannot_be_deleted() -> None:
    stuck = challenge("", "valid", deletionTimestamp=ago(3600), finalizers=["finalizer.acme.cert-manager.io"])
    Case(Broken((stuck,)), ("cluster.challenge-stuck-deleting",), "finalizer.acme.cert-manager.io").check()
    fresh = challenge("", "valid", deletionTimestamp=ago(5), finalizers=["finalizer.acme.cert-manager.io"])
    assert Broken((fresh,)).seen().well, "it may still be on its way"


def ordered(words: str) -> Broken:
    return Broken((certificate(ready=False), request(), order("errored", words)), drop=("Challenge/binder-tls-1-9-7",))


def test_what_the_ca_says_of_an_order() -> None:
    limited = (
        "Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: too many failed authorizations (5) for "
        f'"{HOST}" in the last 1h0m0s, retry after 2026-03-10 09:41:00 UTC'
    )
    Case(
        ordered(limited), ("cluster.failed-authorizations-limit", "cluster.acme-rate-limited"), "too many failed"
    ).check()
    told = ordered(limited).seen().told[0].finding
    assert "2026-03-10 09:41:00" in told.failure.cause, "until when"
    refused = (
        'Failed to create Order: 400 urn:ietf:params:acme:error:rejectedIdentifier: Cannot issue for "binder.local": '
        "Domain name does not end with a valid public suffix (TLD)"
    )
    Case(ordered(refused), ("cluster.acme-name-refused",), "public suffix").check()


def asked(kind: str, name: str = "letsencrypt") -> Json:
    return certificate(ready=False, spec={"issuerRef": {"kind": kind, "name": name, "group": "cert-manager.io"}})


def test_an_issuer_of_the_other_kind() -> None:
    wanted = request('Referenced "ClusterIssuer" not found: clusterissuer.cert-manager.io "other" not found')
    notes = {"cert-manager.io/cluster-issuer": "other"}
    Case(
        Broken(
            (asked("ClusterIssuer", "other"), wanted, ingress(annotations=notes)), drop=("Challenge/binder-tls-1-9-7",)
        ),
        ("cluster.annotation-says-clusterissuer-object-is-issuer", "cluster.issuer-not-found"),
        "cert-manager.io/cluster-issuer: other",
    ).check()


def test_an_issuer_of_another_namespace() -> None:
    wanted = request('Referenced "Issuer" not found: issuer.cert-manager.io "theirs" not found')
    theirs = issuer("Issuer", "theirs", namespace="elsewhere")
    notes = {"cert-manager.io/issuer": "theirs"}
    Case(
        Broken((asked("Issuer", "theirs"), wanted, theirs, ingress(annotations=notes))),
        ("cluster.issuer-in-other-namespace", "cluster.issuer-not-found"), "elsewhere",
    ).check()  # fmt: skip


def test_an_issuer_that_has_no_account() -> None:
    words = "Failed to register ACME account: invalid character '<' looking for beginning of value"
    ill = issuer(ready="False", reason="ErrRegisterACMEAccount", message=words)
    Case(Broken((ill, certificate(ready=False), request())), ("cluster.issuer-not-ready",), "invalid character").check()


def test_secrets_of_certificates() -> None:
    broken = secret(
        "binder-tls", tls__crt=b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n", tls__key="x"
    )
    Case(Broken((broken,)), ("cluster.secret-broken",), "tls.crt").check()
    other = secret("binder-tls", tls__crt=pem("other.example"), tls__key="x")
    Case(Broken((other,)), ("cluster.certificate-not-for-host",), "other.example").check()
    wild = secret("binder-tls", tls__crt=pem("*.example"), tls__key="x")
    assert Broken((wild,)).seen().well, "one label is covered"
    elsewhere = secret("binder-tls", namespace="default", tls__crt=pem(HOST), tls__key="x")
    Case(
        Broken((elsewhere,), drop=("Certificate/binder-tls",)),
        ("cluster.secret-in-other-namespace", "cluster.fake-certificate"), "Secret default/binder-tls",
    ).check()  # fmt: skip


def test_a_hub_whose_certificate_is_not_believed() -> None:
    words = "HTTP 599: SSL certificate problem: unable to get local issuer certificate"
    Case(
        Broken(
            (settings(hub_url_local=None),),
            logs={"binder.log": f"[E] Error accessing Hub API (using https://{HUB}/hub/api/users): {words}"},
        ),
        ("cluster.hub-api-tls-untrusted",), "unable to get local issuer certificate",
    ).check()  # fmt: skip


@pytest.mark.parametrize("url", ["https://hub.<your-domain>", "http://dummy-hub", "http://x.x.x.x", "http://127.0.0.1"])
def test_an_address_of_the_hub_that_nobody_replaced(url: str) -> None:
    Case(Broken((settings(hub_url=url, hub_url_local=None),)), ("cluster.hub-url-placeholder",), url).check()


AUTOHTTPS = pod("autohttps-1", "autohttps", age=3600)


def test_autohttps_without_a_certificate() -> None:
    words = (
        'time="2026-03-10T08:00:00Z" level=error msg="Unable to obtain ACME certificate for domains '
        '\\"binder.example\\": '
        'unable to generate a certificate: acme: error: 400 :: urn:ietf:params:acme:error:connection"'
    )
    Case(
        Broken((AUTOHTTPS,), logs={"autohttps.log": words}), ("cluster.autohttps-no-certificate",), "acme: error: 400"
    ).check()
    letters = words.replace("binder.example", "b")
    Case(
        Broken((AUTOHTTPS,), logs={"autohttps.log": letters}), ("cluster.autohttps-hosts-no-list",), 'domains \\"b'
    ).check()


def test_an_ingress_and_autohttps_for_one_host() -> None:
    kept = {"le": {"Certificates": [{"domain": {"main": HOST}, "certificate": b64(pem(HOST))}]}}
    Case(
        Broken((AUTOHTTPS, secret("proxy-public-tls-acme", acme__json=json.dumps(kept)))),
        ("cluster.two-tls-owners",), HOST,
    ).check()  # fmt: skip
