"""How a web server in front passes the challenge on. In: its answer. Out: lines for its configuration. Pure.

A `return` or `rewrite` that stands in nginx's server block itself runs before every location: it has to move.
"""

from __future__ import annotations

from perijove.domain.certificates import Hop

PATH = "/.well-known/acme-challenge/"
_NAMES = {
    "nginx": "nginx", "openresty": "nginx", "tengine": "nginx", "angie": "nginx",
    "apache": "Apache", "caddy": "Caddy", "haproxy": "HAProxy",
}  # fmt: skip
_PAGES = {
    "<hr><center>nginx": "nginx", "<hr><center>openresty": "nginx", "<address>Apache": "Apache",
    "No server is available to handle this request": "HAProxy", "Your browser sent an invalid request": "HAProxy",
    "Request forbidden by administrative rules": "HAProxy", "The server didn't respond in time": "HAProxy",
    "The server returned an invalid or incomplete response": "HAProxy",
}  # fmt: skip
"""What stands in the pages that they make themselves, `Server` or not."""


def program(hop: Hop) -> str:
    """nginx, Apache, Caddy, HAProxy; `` for others. HAProxy sends no Server, and redirects without Date and body."""
    said = hop.server.lower()
    found = next((name for mark, name in _NAMES.items() if said.startswith(mark)), "")
    if found or said:
        return found
    if 300 <= hop.status < 400 and hop.undated and not hop.body:
        return "HAProxy"
    return next((name for mark, name in _PAGES.items() if mark in hop.body), "")


def pass_on(hop: Hop, host: str, reach_us: str) -> str:
    """What to write into the configuration of the server that answered this hop."""
    us = reach_us or "Perijove's http address"
    lines = {
        "nginx": f"In nginx's server block for {host} at {hop.address} write `location ^~ {PATH} {{ proxy_pass "
        f"http://{us}; proxy_set_header Host $host; }}`; a `return` or `rewrite` beside it has to move into "
        "`location / { … }`, since nginx runs it before any location. Then `nginx -t && nginx -s reload`.",
        "Apache": f"In Apache's VirtualHost for {host} at {hop.address} write `ProxyPreserveHost On` and `ProxyPass "
        f"{PATH} http://{us}{PATH}` (modules proxy and proxy_http); write a redirect beside it as `RedirectMatch 301 "
        f"^/(?!\\.well-known/acme-challenge/)(.*)$ https://{host}/$1`. Then `apachectl graceful`.",
        "HAProxy": f"In HAProxy's frontend for {hop.address} write `acl acme path_beg {PATH}` and `use_backend "
        "perijove if acme`, add `unless acme` to its `http-request redirect`, and `backend perijove` with "
        f"`server perijove {us}`.",
        "Caddy": f"In the Caddyfile's site `http://{host}` write `handle {PATH}* {{ … }}` with `reverse_proxy {us}` in "
        "it; a `redir` of that site has to move into a `handle { … }` below it. Then `caddy reload`.",
    }
    said = hop.server or "the web server"
    return lines.get(
        program(hop), f"Have {said} at {hop.address} pass `{PATH}` on to http://{us}, before any redirect or login."
    )


def reach(hop: Hop, reach_us: str) -> str:
    """What to write where the path is passed on already, but to a place that does not answer."""
    us = reach_us or "Perijove's http address"
    line = {
        "nginx": f"`proxy_pass http://{us};`",
        "Apache": f"`ProxyPass {PATH} http://{us}{PATH}`",
        "HAProxy": f"`server perijove {us}`",
        "Caddy": f"`reverse_proxy {us}`",
    }.get(program(hop), f"http://{us}")
    return f"Have {hop.server or 'the web server'} at {hop.address} pass `{PATH}` on to where Perijove listens: {line}."


def without_tls(hop: Hop, host: str, reach_us: str) -> str:
    """What to change where port 80 speaks TLS."""
    if program(hop) == "nginx":
        return (
            f"Take `ssl` out of nginx's `listen` for {hop.address}; for the challenge: {pass_on(hop, host, reach_us)}"
        )
    us = f" to {reach_us}" if reach_us else ""
    return f"Have {hop.address} lead to Perijove's http port{us}, not to one that expects TLS."
