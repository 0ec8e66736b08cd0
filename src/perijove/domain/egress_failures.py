"""What a build's sandbox could not reach, as the egress proxy knows it: rows of the catalogue. Pure."""

from perijove.domain.failures import Owner, Retry, row

HOST_FORBIDDEN = row(
    "build.host-forbidden", "The build asks for a host that it may not reach",
    Owner.AUTHOR, Retry.NEVER,
    "Have it fetch from a public web address (port 80 or 443); the operator can open this one with build.hosts.",
)  # fmt: skip
HOST_SILENT = row(
    "build.host-unreachable", "A host that the build needs does not answer",
    Owner.UPSTREAM, Retry.BACKOFF,
    "Try again in a minute; if it lasts, check the address, and the operator this machine's network and DNS.",
)  # fmt: skip
BUILD_CONNECTIONS = row(
    "build.too-many-connections", "The build opened too many connections at once",
    Owner.AUTHOR, Retry.BACKOFF,
    "Have it fetch fewer files at a time.",
)  # fmt: skip
