"""Certificates that a client of nginx's own machine renews are blocked only where it needs what it does not get."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.nginx.reading import read
from perijove.backends.nginx.renewals import renewals
from perijove.doctor.engine import NotSeen
from perijove.doctor.front import acme_clients, judge
from perijove.doctor.front.servers import front_of
from perijove.domain import front_failures as rows
from perijove.domain.findings import Confidence, Finding

HOST = "www.example"
REDIRECT = "return 301 https://$host$request_uri;"
FILES = "root /srv/www; location / { try_files $uri $uri/ =404; }"
CERTBOT = """# renew_before_expiry = 30 days
version = 2.11.0
fullchain = /etc/letsencrypt/live/www.example/fullchain.pem

# Options used in the renewal process
[renewalparams]
account = 0123
authenticator = {by}
server = https://acme-v02.api.letsencrypt.org/directory
{more}
"""
WEBROOT = CERTBOT.format(by="webroot", more="webroot_path = /srv/acme,\n[[webroot_map]]\nwww.example = /srv/acme")
ACME_SH = "Le_Domain='www.example'\nLe_Alt='no'\nLe_Webroot='{by}'\nLe_RealFullChainPath='{chain}'\n"


def site(folder: Path, plain: str, chain: Path | str, secure: str = FILES) -> judge.Facts:
    """A site with its own certificate, as its nginx and its clients' files say."""
    main = folder / "nginx.conf"
    main.write_text(
        f"events {{}}\nhttp {{\n  server {{\n    listen 80;\n    server_name {HOST};\n"
        f"    {plain}\n  }}\n"
        f"  server {{\n    listen 443 ssl;\n    server_name {HOST};\n"
        f"    ssl_certificate {chain};\n    {secure}\n  }}\n}}\n"
    )
    front = front_of(read(main))
    known = renewals(acme_clients.chains(front), (folder / ".acme.sh",))
    return judge.Facts(front, (HOST,), renewals=known)


def found(facts: judge.Facts) -> list[Finding] | str:
    """Findings, or why nothing can be said."""
    try:
        return list(judge.blocked(facts, HOST, ""))
    except NotSeen as reason:
        return str(reason)


def live(folder: Path, conf: str) -> Path:
    """A chain of certbot's, whose file says this; none for ``."""
    (folder / "renewal").mkdir()
    if conf:
        (folder / "renewal" / f"{HOST}.conf").write_text(conf)
    return folder / "live" / HOST / "fullchain.pem"


@pytest.mark.parametrize("plain", [REDIRECT, FILES, "return 404;", "location ~ /\\. { deny all; } " + FILES])
@pytest.mark.parametrize("by", ["nginx", "dns-cloudflare"])
def test_who_needs_no_help_of_nginxs_files_is_not_blocked(tmp_path: Path, plain: str, by: str) -> None:
    assert found(site(tmp_path, plain, live(tmp_path, CERTBOT.format(by=by, more="")))) == []


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        pytest.param(CERTBOT.format(by="standalone", more=""), "when nginx leaves it port 80", id="standalone"),
        pytest.param(CERTBOT.format(by="manual", more=""), "how it answers was not seen", id="by hand"),
        pytest.param("", "how it answers was not seen", id="a file that is not there"),
    ],
)
def test_a_client_of_which_no_more_is_known_is_named_and_not_judged(tmp_path: Path, conf: str, says: str) -> None:
    told = found(site(tmp_path, "return 404;", live(tmp_path, conf)))
    assert isinstance(told, str)
    assert told.startswith("certbot")
    assert says in told


def test_a_webroot_that_nginx_serves_is_well(tmp_path: Path) -> None:
    chain = live(tmp_path, WEBROOT.replace("/srv/acme", "/srv/www"))
    assert found(site(tmp_path, FILES, chain)) == []
    assert found(site(tmp_path, REDIRECT, chain)) == [], "the redirect leads to files of the same folder"


def test_an_error_page_s_folder_is_not_taken_for_the_one_that_is_served(tmp_path: Path) -> None:
    page = "error_page 404 /404.html; location = /404.html { root /usr/share/nginx/html; }"
    assert found(site(tmp_path, f"root /srv/acme; {page}", live(tmp_path, WEBROOT))) == []


@pytest.mark.parametrize("listed", ["deny 198.18.0.0/15;", "deny 10.0.0.0/8; deny 198.18.0.0/15;"])
def test_networks_that_nobody_comes_from_block_nobody(tmp_path: Path, listed: str) -> None:
    assert found(site(tmp_path, f"{listed} root /srv/acme;", live(tmp_path, WEBROOT))) == []


@pytest.mark.parametrize("plain", ["return 404;", REDIRECT, FILES])
def test_a_webroot_that_nginx_does_not_serve_is_told_with_the_lines_that_serve_it(tmp_path: Path, plain: str) -> None:
    facts = site(tmp_path, plain, live(tmp_path, WEBROOT))
    told = found(facts)
    assert isinstance(told, list)
    assert [(one.code, one.confidence) for one in told] == [
        (rows.ACME_HTTP01_BLOCKED_BY_FRONT_PROXY.code, Confidence.LIKELY)
    ]
    assert "/srv/acme" in told[0].failure.cause
    made = judge.patch(facts, HOST, "")
    assert made is not None
    assert "+        root /srv/acme;" in made.diff
    assert found(replace(facts, front=front_of(read(tmp_path / "nginx.conf", dict(made.after))))) == []


@pytest.mark.parametrize("folder", ["/srv/my acme", "/srv/x; autoindex on", "/srv/}", "/srv/$host", "/srv/a#b"])
def test_a_folder_that_nginx_would_not_read_as_one_word_is_not_written_into_its_files(
    tmp_path: Path, folder: str
) -> None:
    facts = site(tmp_path, "return 404;", live(tmp_path, WEBROOT.replace("/srv/acme", folder)))
    told = found(facts)
    assert isinstance(told, list)
    assert folder in told[0].failure.cause
    assert (judge.patch(facts, HOST, ""), folder in "".join(told[0].commands)) == (None, False)


@pytest.mark.parametrize(
    ("by", "plain", "well"),
    [
        ("nginx:", "return 404;", True),
        ("dns_cf", "return 404;", True),
        ("alpn", "return 404;", True),
        ("/srv/www", FILES, True),
        ("/srv/acme", FILES, False),
    ],
)
def test_acme_sh_is_asked_where_it_laid_the_certificate(tmp_path: Path, by: str, plain: str, well: bool) -> None:
    conf = tmp_path / ".acme.sh" / f"{HOST}_ecc" / f"{HOST}.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(ACME_SH.format(by=by, chain="/etc/nginx/ssl/www.pem"))
    assert (found(site(tmp_path, plain, "/etc/nginx/ssl/www.pem")) == []) is well
    assert (found(site(tmp_path, plain, conf.with_name("fullchain.cer"))) == []) is well


def test_a_folder_that_may_not_be_looked_into_hides_no_other(tmp_path: Path) -> None:
    conf = tmp_path / ".acme.sh" / f"{HOST}_ecc" / f"{HOST}.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(ACME_SH.format(by="dns_cf", chain="/etc/nginx/ssl/www.pem"))
    refused = tmp_path / ("x" * 300)  # by the system, as root's folder is to others
    known = renewals(["/etc/nginx/ssl/www.pem"], (refused, tmp_path / ".acme.sh"))
    assert known["/etc/nginx/ssl/www.pem"].client == "acme.sh"


def test_lego_is_known_by_its_folder(tmp_path: Path) -> None:
    chain = tmp_path / "certificates" / f"{HOST}.crt"
    chain.parent.mkdir()
    chain.with_suffix(".json").write_text("{}")
    assert str(found(site(tmp_path, "return 404;", chain))).startswith("lego")


def test_certbots_comment_tells_where_its_folder_does_not(tmp_path: Path) -> None:
    told = found(site(tmp_path, "return 404;", "/etc/pki/www.pem; # managed by Certbot\n"))
    assert str(told).startswith("certbot")


def test_of_a_certificate_that_nobody_is_known_for_a_refusal_is_possible_and_files_are_not_judged(
    tmp_path: Path,
) -> None:
    told = found(site(tmp_path, "return 404;", "/etc/pki/www.pem"))
    assert isinstance(told, list)
    assert [one.confidence for one in told] == [Confidence.POSSIBLE]
    assert "may put its answers below /srv/www" in str(found(site(tmp_path, FILES, "/etc/pki/www.pem")))


def test_who_the_operator_says_answers_is_asked_whoever_has_the_certificate(tmp_path: Path) -> None:
    facts = site(tmp_path, FILES, live(tmp_path, CERTBOT.format(by="nginx", more="")))
    told = found(replace(facts, to="192.0.2.1:80"))
    assert isinstance(told, list)
    assert [one.confidence for one in told] == [Confidence.CERTAIN]


def test_a_name_that_no_server_has_is_not_blocked(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text(
        "events {} http { server { listen 80 default_server; return 444; }"
        " server { listen 80; server_name x.example; proxy_pass http://192.0.2.1; } }"
    )
    facts = judge.Facts(front_of(read(main)), (HOST,))
    assert str(found(facts)).startswith(f"no server of this configuration has the name {HOST}")


def test_a_redirect_to_another_name_loses_no_host(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text(
        f"events {{}} http {{ server {{ listen 80; server_name {HOST}; return 301 http://example$request_uri; }}"
        " server { listen 80; server_name example; location / { proxy_pass http://192.0.2.1;"
        " proxy_set_header Host $host; } } }"
    )
    assert "sent to example" in str(found(judge.Facts(front_of(read(main)), (HOST,))))
