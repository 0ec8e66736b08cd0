"""What a build's sandbox could not reach, as the egress proxy knows it: rows of the catalogue. Pure."""

from perijove.domain.failures import Retry, author_row, operator_row, upstream_row

HOST_FORBIDDEN = author_row(
    "build.host-forbidden", "The build asks for a host that it may not reach",
    "Have it fetch from a public web address (port 80 or 443); the operator can open this one with build.hosts.",
)  # fmt: skip
HOST_SILENT = upstream_row(
    "build.host-unreachable", "A host that the build needs does not answer",
    "Try again in a minute; if it lasts, check the address, and the operator this machine's network and DNS.",
)  # fmt: skip
PROXY_REFUSES = operator_row(
    "build.proxy-refuses", "This service's own proxy does not let a build through",
    "Ask the proxy by `curl -v -x PROXY https://HOST`, see its log, and have it let this machine through to that host.",
    Retry.BACKOFF,
)  # fmt: skip
BUILD_CONNECTIONS = author_row(
    "build.too-many-connections", "The build opened too many connections at once",
    "Have it fetch fewer files at a time.", Retry.BACKOFF,
)  # fmt: skip
