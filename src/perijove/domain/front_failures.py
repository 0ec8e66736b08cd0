"""The rows of the catalogue for web servers that stand in front of a service. Pure; see `failures`."""

from perijove.domain.failures import operator_row

ACME_HTTP01_BLOCKED_BY_FRONT_PROXY = operator_row(
    "front.acme-http01-blocked-by-front-proxy", "The web server in front does not pass the challenge on",
    "Pass /.well-known/acme-challenge/ on port 80 to whoever orders the certificate, and keep the redirect for all "
    "else. Leave it so: each renewal comes the same way.",
)  # fmt: skip
NO_SERVER_ON_PORT_80 = operator_row(
    "front.no-server-on-port-80", "The web server in front does not listen on port 80",
    "Have it listen there, pass /.well-known/acme-challenge/ on and redirect all else; CAs look on port 80 alone.",
)  # fmt: skip
REDIRECT_REWRITES_HOST = operator_row(
    "front.redirect-rewrites-host", "A redirect leads to another name than was asked for",
    "Write $host for $server_name: that is the block's first name, whichever was asked for.",
)  # fmt: skip
HOST_LOST = operator_row(
    "front.host-lost", "The challenge is passed on under another name",
    "Add `proxy_set_header Host $host;` beside that proxy_pass: solvers answer for the name that was asked for alone.",
)  # fmt: skip
WEBSOCKET_CUT = operator_row(
    "front.websocket-cut", "The web server in front does not pass websockets on",
    "Pass Upgrade and Connection on, by HTTP/1.1: kernels and terminals speak through websockets.",
)  # fmt: skip
STREAM_HELD_BACK = operator_row(
    "front.stream-held-back", "The web server in front holds event streams back or cuts them",
    "Turn proxy_buffering off and let proxy_read_timeout be long: a build's log comes as it is written, with pauses.",
)  # fmt: skip
LISTEN_CONFLICT = operator_row(
    "front.listen-conflict", "Two parts of the web server in front want the same port",
    "Remove one of the two before anybody restarts it: `nginx -t` does not see this, and the next start fails for all "
    "sites.",
)  # fmt: skip
FILE_NOT_INCLUDED = operator_row(
    "front.file-not-included", "A file of the web server in front is not included",
    "Give it a name that an include takes (`*.conf`), link it into a folder that is included, or include it; then "
    "`nginx -t && nginx -s reload`.",
)  # fmt: skip
CONFIGURATION_BROKEN = operator_row(
    "front.configuration-broken", "The configuration of the web server in front is broken",
    "Correct the line named, then run `nginx -t`. Until then a reload changes nothing, and a restart fails.",
)  # fmt: skip
CONFIGURATION_UNREADABLE = operator_row(
    "front.configuration-unreadable", "The configuration of the web server in front cannot be read",
    "Name its main file or folder, and run as a user who may read it all.",
)  # fmt: skip
NOT_FIXED = operator_row(
    "front.not-fixed", "The web server in front was not changed",
    "Everything is as it was before; mend what the evidence names, and try again.",
)  # fmt: skip
