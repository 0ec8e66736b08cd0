"""The catalogue of failures: what may be wrong with conda packages. Pure."""

from perijove.domain.failures import author_row, upstream_row

CHANNEL_REFUSED = author_row(
    "build.channel-refused", "A channel is not fetched from here",
    "Use conda-forge; the operator can open others with conda.hosts and conda.defaults.",
)  # fmt: skip
NO_SUCH_CHANNEL = author_row(
    "build.no-such-channel", "A channel cannot be found",
    "Check its spelling.",
)  # fmt: skip
CHANNEL_UNREACHABLE = upstream_row(
    "build.channel-unreachable", "A channel does not answer",
    "Try again in a minute; if it lasts, the operator should look at this machine's network and at conda.mirrors.",
)  # fmt: skip
WRONG_PLATFORM = author_row(
    "build.wrong-platform", "The environment was written down on another kind of machine",
    "Write it with `conda env export --from-history`, or remove the packages named, and builds (`=h1234_0`) with them.",
)  # fmt: skip
BAD_PACKAGE = author_row(
    "build.bad-package", "A conda package is not what it should be",
    "Choose another version or channel for it, and tell whoever publishes it.",
)  # fmt: skip
