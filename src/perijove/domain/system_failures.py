"""The catalogue of failures: what may be wrong with the system that environments stand on. Pure."""

from perijove.domain.failures import Retry, author_row, operator_row, upstream_row

NO_ROOT = operator_row(
    "platform.no-root", "A sandbox cannot have a system of its own",
    "Use Linux 5.11 or newer, as root 5.19, and isolation = sandbox; or set platform.root = host, without apt.txt.",
)  # fmt: skip
BASE_MISSING = operator_row(
    "platform.base-missing", "There is nothing to make the base from",
    "Install mmdebstrap (`apt-get install mmdebstrap`), or set platform.base; `perijove base prepare` tries it.",
)  # fmt: skip
BASE_UNREACHABLE = operator_row(
    "platform.base-unreachable", "What the base is made from cannot be fetched",
    "Look at this machine's network, at platform.base and platform.mirror; `perijove base prepare` tries it again.",
    Retry.BACKOFF,
)  # fmt: skip
BASE_UNUSABLE = operator_row(
    "platform.base-unusable", "What platform.base names is no base",
    "Name a Debian with apt, such as an image of it, and keep python3 among platform.packages.",
)  # fmt: skip
BASE_FAILED = operator_row(
    "platform.base-failed", "The base cannot be completed",
    "Read the lines below; platform.suite, platform.mirror and platform.packages say what goes into it.",
)  # fmt: skip
BASE_IN_USE = operator_row(
    "platform.base-in-use", "The base is in use",
    "Remove the environments that stand on it first: `perijove clean` does, as far as disk is short.",
)  # fmt: skip
APT_UNAVAILABLE = operator_row(
    "build.apt-unavailable", "Packages of the system cannot be had here",
    "The operator can set platform.root = auto; or remove the file, if what it names is on conda-forge or PyPI.",
)  # fmt: skip
NO_SUCH_SYSTEM_PACKAGE = author_row(
    "build.no-such-system-package", "The distribution has no such package",
    "Write the name that this Debian release has for it: https://packages.debian.org lists them.",
)  # fmt: skip
SYSTEM_CONFLICT = author_row(
    "build.system-conflict", "Packages of the system do not fit together",
    "Remove one of them from apt.txt.",
)  # fmt: skip
MIRROR_UNREACHABLE = upstream_row(
    "build.mirror-unreachable", "The mirror of the system's packages does not answer",
    "Try again in a minute; if it lasts, the operator should look at this machine's network and at platform.mirror.",
)  # fmt: skip
SYSTEM_INSTALL_FAILED = author_row(
    "build.system-install-failed", "A package of the system cannot be installed",
    "Read the lines below: what needs a running service, other users or set-uid programs cannot be installed here.",
)  # fmt: skip
