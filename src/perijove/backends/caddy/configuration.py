"""What is Caddy told? In: the table. Out: its whole configuration as JSON. Pure.

A session's socket is found by its name at each request, so no session stands here: every change is a reload, and a
reload closes connections that are idle or take longer than its grace period.
"""

from __future__ import annotations

from typing import Any

from perijove.backends.caddy.encryption import HSTS, by_name, connection_policies, tls
from perijove.backends.caddy.handlers import control, route, static
from perijove.backends.caddy.sessions import answer, service_host, session_hosts
from perijove.domain.certificates import is_address
from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.listening import UDP
from perijove.domain.parsing import bracketed, split_address
from perijove.domain.state import State

Json = dict[str, Any]

CHALLENGE = "/.well-known/acme-challenge/*"
"""RFC 8555, 8.3: always answered by the control plane, however it is asked for."""
GRACE = "2s"
FIRST_DESCRIPTOR = 100
"""Of the sockets that Caddy inherits: above all that it opens itself before it has its configuration."""
INHERITED = "inherited"


def configuration(table: DataPlaneTable, state: State, given: tuple[str, ...] = ()) -> Json:
    """All of it. `given`: the addresses of its inherited descriptors, in their order; it opens the others itself."""
    servers = {}
    if table.http:
        routes = _redirecting(table) if table.redirects else _open(table, secure=False)
        servers["http"] = _server(_networks(table.http, given), ["h1"], table, routes)
    if table.https:
        routes = [*_hsts(table), *_open(table, secure=True)]
        policies = {"tls_connection_policies": connection_policies(table)}
        servers["https"] = _server(_networks(table.https, given), ["h1", "h2"], table, routes) | policies
        if table.quic:
            by_listener = [["h1", "h2"]] * len(table.https) + [["h3"]] * len(table.quic)
            listen = _networks((*table.https, *table.quic), given)
            servers["https"] |= {"listen": listen, "listen_protocols": by_listener}
    apps: Json = {"http": {"grace_period": GRACE, "servers": servers}}
    if table.https:
        apps["tls"] = tls(table)
    return bare(state, given) | {"apps": apps}


def bare(state: State, given: tuple[str, ...] = ()) -> Json:
    """What Caddy needs to run at all. Request logs are left out: a session's token stands in its URL."""
    return {
        # Caddy keeps an @id and makes nothing of it: whoever adopts this process reads there what it was given.
        "@id": " ".join((INHERITED, *given)),
        "admin": {"listen": f"unix/{state.caddy_socket}|0600", "config": {"persist": False}},
        "logging": {
            "logs": {
                "default": {"level": "WARN", "exclude": ["admin", "http.log.error", "http.handlers.reverse_proxy"]}
            }
        },
        "storage": {"module": "file_system", "root": str(state.caddy)},
    }


def listens(config: Json | None) -> tuple[str, ...]:
    """The addresses that a running configuration listens on."""
    servers = ((config or {}).get("apps") or {}).get("http", {}).get("servers", {})
    numbered = {written: one for one, written in _numbered(inherited(config)).items()}
    listened = [one for server in servers.values() for one in server.get("listen", ())]
    return tuple(numbered.get(one, (UDP if one.startswith("udp") else "") + one.rpartition("/")[2]) for one in listened)


def inherited(config: Json | None) -> tuple[str, ...]:
    """The addresses of the sockets that the process of a running configuration was given."""
    word, *addresses = str((config or {}).get("@id", "")).split(" ")
    return tuple(addresses) if word == INHERITED else ()


def _server(listen: list[str], protocols: list[str], table: DataPlaneTable, routes: list[Json]) -> Json:
    server: Json = {
        "listen": listen,
        "protocols": protocols,
        "automatic_https": {"disable": True},
        "read_header_timeout": "30s",
        "routes": [*_cleaned(table), route({"path": [CHALLENGE]}, control(table)), *routes],
    }
    if table.proxies:
        server["trusted_proxies"] = {"source": "static", "ranges": list(table.proxies)}
        server["trusted_proxies_strict"] = 1
    return server


def _networks(addresses: tuple[str, ...], given: tuple[str, ...]) -> list[str]:
    """As Caddy names them; an inherited one by its descriptor."""
    numbered = _numbered(given)
    return [numbered.get(address) or _network(address) for address in addresses]


def _numbered(given: tuple[str, ...]) -> dict[str, str]:
    """Inherited addresses, and how Caddy names them."""
    kinds = ((one, "fdgram" if one.startswith(UDP) else "fd") for one in given)
    return {one: f"{kind}/{number}" for number, (one, kind) in enumerate(kinds, FIRST_DESCRIPTOR)}


def _network(address: str) -> str:
    """With the family, so that `[::]:80` leaves `0.0.0.0:80` to its twin."""
    kind, plain = ("udp", address.removeprefix(UDP)) if address.startswith(UDP) else ("tcp", address)
    host = split_address(plain)[0]
    if host in ("", "localhost"):
        return f"{kind}/{plain}"
    return f"{kind}6/{plain}" if ":" in host else f"{kind}4/{plain}"


def _cleaned(table: DataPlaneTable) -> list[Json]:
    """Nobody says where a request comes from but Caddy, and the server in front by the headers that Caddy reads."""
    cleaned: list[Json] = [
        {"handle": [{"handler": "headers", "request": {"delete": ["Forwarded", "X-Real-Ip", "X-Scheme"]}}]}
    ]
    if table.front_says:
        others: Json = {"not": [{"remote_ip": {"ranges": list(table.proxies)}}]} if table.proxies else {}
        nobodys = {"handler": "headers", "request": {"delete": list(table.front_says)}}
        cleaned.append({"match": [others], "handle": [nobodys]})
    if table.proxies:
        one_host = {"X-Forwarded-Host": {"pattern": r"^[^,\s]+$"}}
        asked = {"remote_ip": {"ranges": list(table.proxies)}, "header_regexp": one_host}
        host = {"Host": ["{http.request.header.X-Forwarded-Host}"]}
        cleaned.append({"match": [asked], "handle": [{"handler": "headers", "request": {"set": host}}]})
    return cleaned


def _open(table: DataPlaneTable, *, secure: bool) -> list[Json]:
    return [
        *session_hosts(table, *answer(table)),
        static(table),
        *service_host(table, secure=secure),
        route(None, control(table)),
    ]


def _redirecting(table: DataPlaneTable) -> list[Json]:
    """To https where there is a certificate; else the control plane says why there is none yet, and nothing more."""
    port = split_address(table.https[0])[1] if table.https else 443
    suffix = "" if port == 443 else f":{port}"
    hosts = [name for certificate in table.certificates for name in certificate.names]
    names = [host for host in hosts if not is_address(host)]
    redirects = [_to_https([host], bracketed(host) + suffix) for host in hosts]
    redirects = [one for host, one in zip(hosts, redirects, strict=True) if is_address(host)]
    if names:
        redirects.append(_to_https(names, "{http.request.host}" + suffix))
    return [*redirects, *session_hosts(table, control(table)), static(table), route(None, control(table))]


def _to_https(hosts: list[str], there: str) -> Json:
    location = {"Location": [f"https://{there}{{http.request.uri}}"]}
    return route({"host": hosts}, {"handler": "static_response", "status_code": "308", "headers": location})


def _hsts(table: DataPlaneTable) -> list[Json]:
    """How browsers come back; never for a certificate that they do not trust."""
    names = by_name([name for certificate in table.certificates if certificate.hsts for name in certificate.names])
    told = {"handler": "headers", "response": {"set": {"Strict-Transport-Security": [HSTS]}, "deferred": True}}
    return [{"match": [{"host": names}], "handle": [told]}] if names else []
