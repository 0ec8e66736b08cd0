"""Flags as settings."""

from __future__ import annotations

from pathlib import Path

from perijove.cli import flags
from perijove.domain.settings_layers import Layer, merged


def test_flags_are_settings_by_name() -> None:
    settings, sources = merged(
        [
            Layer(
                "flag",
                flags.values(
                    host=["binder.example.org", "wiki.example.org"],
                    http=["0.0.0.0:8080"],
                    https=["off"],
                    behind=["192.0.2.9", "2001:db8::/32"],
                    email="me@example.org",
                    profile="tlsserver",
                    eab_kid="kid",
                    eab_key_file=Path("/etc/eab"),
                    acme_ca=Path("/etc/ca.pem"),
                    no_rehearsal=True,
                ),
            )
        ]
    )
    service, certificates = settings.service, settings.certificates
    assert (service.hosts, service.http) == (("binder.example.org", "wiki.example.org"), ("0.0.0.0:8080",))
    assert (service.https, service.behind) == (("off",), ("192.0.2.9", "2001:db8::/32"))
    assert (certificates.email, certificates.profile) == ("me@example.org", "tlsserver")
    assert (certificates.eab_kid, certificates.eab_key_file) == ("kid", "/etc/eab")
    assert (certificates.acme_ca, certificates.rehearse) == ("/etc/ca.pem", False)
    assert sources["certificates.rehearse"] == "flag"


def test_an_issuer_by_its_url_is_asked_before_those_by_name() -> None:
    given = flags.values(acme="https://ca.example/dir", issuer=["letsencrypt", "local"])
    assert given == {"certificates.issuers": ["https://ca.example/dir", "letsencrypt", "local"]}


def test_flags_that_are_not_given_change_nothing() -> None:
    assert flags.values() == {}
    assert flags.values(host=[], http=[], issuer=[]) == {}
