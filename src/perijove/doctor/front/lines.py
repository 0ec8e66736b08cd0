"""What must a web server in front pass on? In: whom it stands before. Out: its configuration, as text. Pure.

Four things break a Binder behind a web server: the challenge's path redirected, Host lost, websockets cut, answers held
back until they are whole. Each line here keeps one of them from happening.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from perijove.domain.listening import here, http_listeners, named_session_hosts
from perijove.domain.parsing import bracketed, split_address
from perijove.domain.settings import ServiceSettings

CHALLENGE = "/.well-known/acme-challenge/"
"""RFC 8555, 8.3."""
EVERYWHERE = ("", "0.0.0.0", "::")
EXPORTED = "# Once the certificate is there, and again after each renewal (certificates.on_renewed):\n"
LONGEST_SILENCE = "1h"
"""How long a websocket or an event stream may say nothing before the server in front cuts it."""


@dataclass(frozen=True, slots=True)
class Front:
    """The server in front, and what it can reach of us."""

    hosts: tuple[str, ...]
    upstream: str
    """`127.0.0.1:8000`: where it reaches us by http."""
    unreachable: str = ""
    """The sentence that says why it cannot; `` where it can."""
    own: bool = True
    """Whether it is Perijove that stands behind, and gets the certificate for the server in front."""
    base: str = "/"
    """The path that is passed on, as it is; what else the host has stays whoever's it was."""


def front(service: ServiceSettings, own_address: str) -> Front:
    """Where the server in front finds us. `own_address`: this machine's, as that server sees it."""
    names = (*service.hosts, *named_session_hosts(service))
    listener = http_listeners(service)[0]
    host, port = split_address(listener)
    away = [one for one in service.behind if not _loopback(one)]
    if host in EVERYWHERE:
        at = bracketed(own_address)
        return Front(names, f"{at}:{port}" if away and own_address else here(listener), base=service.base)
    if away and (host == "localhost" or ip_address(host).is_loopback):
        why = f"Perijove listens on {listener}, which {', '.join(away)} cannot reach: choose another with --http"
        return Front(names, listener, why, base=service.base)
    return Front(names, here(listener), base=service.base)


def _loopback(network: str) -> bool:
    return ip_network(network, strict=False).is_loopback


def nginx(what: Front) -> str:
    """A file for `/etc/nginx/conf.d`; its second server needs the certificate, which the first lets come."""
    names = " ".join(what.hosts) or "_"
    host = what.hosts[0] if what.hosts else "NAME"
    file = "/etc/nginx/perijove" if what.own else f"/etc/nginx/{host}"
    exported = f"# perijove cert export {host} --chain {file}.pem --key {file}.key && nginx -s reload\n"
    return f"""\
map $http_upgrade $perijove_connection {{ default upgrade; '' ''; }}
server {{
    listen 80;
    listen [::]:80;
    server_name {names};
    location ^~ {CHALLENGE} {{
        proxy_pass http://{what.upstream};
        proxy_set_header Host $http_host;
    }}
    location / {{ return 301 https://$host$request_uri; }}
}}
{EXPORTED + exported if what.own else ""}server {{
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name {names};
    ssl_certificate {file}.pem;
    ssl_certificate_key {file}.key;
    location {what.base} {{
        proxy_pass http://{what.upstream};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $perijove_connection;
        proxy_buffering off;
        proxy_read_timeout {LONGEST_SILENCE};
        client_max_body_size 0;
    }}
}}
"""


def haproxy(what: Front) -> str:
    """Its lines, each for the section named before it."""
    below = f"path {what.base.rstrip('/')} }} or {{ path_beg {what.base} {CHALLENGE}"
    chosen = f"frontend: use_backend perijove if {{ {below} }}\n" if what.base != "/" else ""
    return f"""\
frontend: http-request redirect scheme https unless {{ ssl_fc }} or {{ path_beg {CHALLENGE} }}
frontend: http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
{chosen}backend:  http-request set-header X-Forwarded-For %[src]
backend:  timeout tunnel {LONGEST_SILENCE}
backend:  server perijove {what.upstream}
"""


def apache(what: Front) -> str:
    """Lines for its virtual hosts; `upgrade` needs 2.4.47, and a redirect's rule the first before it.

    Links hold encoded slashes (`%2F`), which Apache answers 404 or decodes where it is not told to leave them.
    """
    upstream = f"http://{what.upstream}"
    challenge = f'ProxyPass "{CHALLENGE}" "{upstream}{CHALLENGE}"\n' if what.base != "/" else ""
    return f"""\
RewriteCond "%{{REQUEST_URI}}" "!^{CHALLENGE.replace(".", chr(92) + ".")}"
AllowEncodedSlashes NoDecode
{challenge}ProxyPass "{what.base}" "{upstream}{what.base}" nocanon upgrade=websocket flushpackets=on timeout=3600
ProxyPreserveHost On
RequestHeader set X-Forwarded-Proto "expr=%{{REQUEST_SCHEME}}"
"""


def caddy(what: Front) -> str:
    """A site of its Caddyfile. Caddy answers challenges for certificates of its own by itself, and redirects all else;
    these lines are for certificates that others get.
    """
    names = ", ".join(what.hosts) or "NAME"
    below = f"@perijove path {what.base.rstrip('/')} {what.base}*\n    " if what.base != "/" else ""
    matched = "@perijove " if below else ""
    return f"""\
{", ".join(f"http://{one}" for one in what.hosts) or "http://NAME"} {{
    handle {CHALLENGE}* {{
        reverse_proxy {what.upstream}
    }}
    handle {{
        redir https://{{host}}{{uri}} 301
    }}
}}
{names} {{
    {below}reverse_proxy {matched}{what.upstream} {{
        flush_interval -1
    }}
}}
"""


def traefik(what: Front) -> str:
    """Two files: lines for `traefik.yml`, and one for its file provider. Host and X-Forwarded-* it passes on by itself.

    Links hold encoded slashes and encoded percent signs, which it refuses in some versions where it is not told to take
    them; and it reads a request for no more than a minute, which is short for an upload.
    """
    rule = " || ".join(f"Host(`{one}`)" for one in what.hosts) or "Host(`NAME`)"
    rule = rule if what.base == "/" else f"({rule}) && PathPrefix(`{what.base.rstrip('/')}`)"
    return f"""\
# traefik.yml
entryPoints:
  web: {{address: ":80"}}
  websecure:
    address: ":443"
    http: {{encodedCharacters: {{allowEncodedSlash: true, allowEncodedPercent: true}}}}
    transport: {{respondingTimeouts: {{readTimeout: 0s}}}}
# a file of its providers.file
http:
  routers:
    perijove-challenge:
      {{entryPoints: [web], rule: "PathPrefix(`{CHALLENGE}`)", priority: 100000, service: perijove}}
    perijove-redirect:
      {{entryPoints: [web], rule: "{rule}", middlewares: [perijove-https], service: perijove}}
    perijove:
      {{entryPoints: [websecure], rule: "{rule}", service: perijove, tls: {{}}}}
  middlewares:
    perijove-https: {{redirectScheme: {{scheme: https, permanent: true}}}}
  services:
    perijove:
      loadBalancer: {{servers: [{{url: "http://{what.upstream}"}}], responseForwarding: {{flushInterval: 1ms}}}}
"""


WRITTEN: Mapping[str, Callable[[Front], str]] = {
    "nginx": nginx, "HAProxy": haproxy, "Apache": apache, "Caddy": caddy, "Traefik": traefik,
}  # fmt: skip
"""By the names of the web servers."""
