"""The catalogue of failures: what keeps an environment from becoming an image in a registry. Pure."""

from perijove.domain.failures import Owner, Retry, author_row, operator_row, row, upstream_row

UNPACKABLE = author_row(
    "registry.unpackable", "What was built cannot be packed as an image",
    "Rename or remove what the evidence names; most often postBuild made it.",
)  # fmt: skip
CREDENTIALS_UNUSABLE = operator_row(
    "registry.credentials-unusable", "The file of credentials for the registry cannot be used",
    "Write it as `docker login` does without a helper, or as a Secret of the kind kubernetes.io/dockerconfigjson.",
)  # fmt: skip
OCI_UNAUTHORISED = operator_row(
    "registry.unauthorised", "The registry does not know who we are",
    "Put a name and a password, or a token, for this registry into the file of credentials.",
)  # fmt: skip
OCI_DENIED = operator_row(
    "registry.denied", "The registry does not let us push there",
    "Give the account the right to push, make the repository if pushing does not, and see that it is not read-only.",
)  # fmt: skip
OCI_FULL = operator_row(
    "registry.full", "The registry takes no more",
    "Remove old images from it, or raise the quota of the project or the account.",
)  # fmt: skip
OCI_BUSY = upstream_row(
    "registry.busy", "The registry asks us to wait",
    "Wait; if it lasts, raise what the registry allows the account in a time.", Retry.AFTER,
)  # fmt: skip
OCI_TLS = operator_row(
    "registry.tls", "There is no trusted connection to the registry",
    "Name the authority that signed its certificate; one without TLS is written with http:// before its name.",
)  # fmt: skip
OCI_UNREACHABLE = operator_row(
    "registry.unreachable", "The registry does not answer",
    "Look at the registry, and at this machine's DNS, proxy and firewall.", Retry.BACKOFF,
)  # fmt: skip
OCI_INTERRUPTED = upstream_row(
    "registry.interrupted", "The registry lost what was being pushed",
    "Try again: layers that are there already are not moved again. If it lasts, look at the registry's log.",
)  # fmt: skip
OCI_REFUSED = row(
    "registry.refused", "The registry does not take the image",
    Owner.US, Retry.NEVER,
    "Read its words below, and report them with the registry's kind and version.",
)  # fmt: skip
NO_REGISTRY = operator_row(
    "registry.no-registry", "What answers there is no registry",
    "Check the name and the port, and whether a web server before it passes all of /v2/ on.",
)  # fmt: skip
