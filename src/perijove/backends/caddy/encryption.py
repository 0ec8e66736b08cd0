"""Which certificate is shown to whom? In: the table. Out: Caddy's TLS policies and the app behind them. Pure.

A handshake for a name that is not ours finds no policy and is refused. After one for a name of ours all of them may be
asked for: browsers reuse a connection whose certificate holds both names (RFC 9113, 9.1.1), and `strict_sni_host` would
have Caddy answer 421. It guards certificates of clients, which nobody here has. Caddy itself orders nothing: no name is
in its care. It only looks in its storage for answers to tls-alpn-01, which `alpn` files there.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from perijove.domain.certificates import HostName, is_address
from perijove.domain.data_plane import DataPlaneTable, ServedCertificate

Json = dict[str, Any]

HSTS = "max-age=31536000"
"""One year (RFC 6797, 6.1), for this name only: what lies below it may be somebody else's."""
NOBODY = "nobody.invalid"
"""RFC 2606. Without a policy at all, Caddy would speak http on the port for https."""


def tls(table: DataPlaneTable) -> Json:
    """The app: files to load, tagged with their host, and where answers to tls-alpn-01 are looked for."""
    files = [
        {"certificate": str(one.chain), "key": str(one.key), "tags": [one.host], "format": "pem"}
        for one in table.certificates
    ]
    app: Json = {"disable_ocsp_stapling": True, "disable_storage_check": True, "disable_storage_clean": True}
    if files:
        app["certificates"] = {"load_files": files}
    if table.alpn_hosts and table.alpn_directories:
        issuers = [{"module": "acme", "ca": url} for url in table.alpn_directories]
        names = [server_name(host) for host in table.alpn_hosts]
        app["automation"] = {"policies": [{"subjects": names, "issuers": issuers, "disable_ocsp_stapling": True}]}
    return app


def connection_policies(table: DataPlaneTable) -> list[Json]:
    """One for each certificate, exact names before wildcards; then the names that have none yet."""
    named = [one for one in table.certificates if not is_address(one.host)]
    addresses = [one for one in table.certificates if is_address(one.host)]
    unnamed = addresses or [one for one in named if one.host == "localhost"]
    exact = [(one, [name for name in one.names if not name.startswith("*.")]) for one in named]
    wild = [(one, [name for name in one.names if name.startswith("*.")]) for one in named]
    waiting = [server_name(host) for host in table.alpn_hosts] or [NOBODY]
    return [
        *(_shown(one, {"sni": names}) for one, names in (*exact, *wild) if names),
        {"match": {"sni": waiting}, "protocol_min": "tls1.2"},
        # Browsers send no name for an address (RFC 6066, 3), and behind a NAT the local one is another.
        *(_shown(one, {"sni": [""], "local_ip": {"ranges": [one.host]}}) for one in addresses),
        *(_shown(one, {"sni": [""]}) for one in unnamed[:1]),
    ]


def server_name(host: HostName) -> str:
    """What a CA sends as the server's name: for an address its name in the reverse zone (RFC 8738, 6)."""
    return ip_address(host).reverse_pointer if is_address(host) else host


def by_name(hosts: list[HostName]) -> list[HostName]:
    """Those that are no addresses."""
    return [host for host in hosts if not is_address(host)]


def _shown(certificate: ServedCertificate, match: Json) -> Json:
    return {"match": match, "certificate_selection": {"any_tag": [certificate.host]}, "protocol_min": "tls1.2"}
