"""What may be wrong with a service of ours that its own start does not see: rows of the catalogue. Pure."""

from __future__ import annotations

from perijove.domain.failures import Owner, Retry, row

JOURNAL_DAMAGED = row(
    "platform.journal-damaged", "The journal holds what cannot be read",
    Owner.OPERATOR, Retry.NEVER,
    "Stop the service, keep a copy of the file, and take out what is named.",
)  # fmt: skip
SECRET_CHANGED = row(
    "platform.secret-changed", "The secret on disk is not the one that the service uses",
    Owner.OPERATOR, Retry.NEVER,
    "Put the old file back before the next restart, or restart when no session runs.",
)  # fmt: skip
FILE_TOO_OPEN = row(
    "platform.file-too-open", "A file of secrets can be read by others",
    Owner.OPERATOR, Retry.NEVER,
    "Take the right to read it from everybody but its owner.",
)  # fmt: skip
NOT_ANSWERING = row(
    "platform.not-answering", "The service runs and does not answer",
    Owner.OPERATOR, Retry.BACKOFF,
    "Look at its log; restart it. Sessions and their work stay.",
)  # fmt: skip
STORE_DAMAGED = row(
    "platform.store-damaged", "Something among the environments is none",
    Owner.OPERATOR, Retry.NEVER,
    "Remove it: what is wanted again is built again.",
)  # fmt: skip
KERNEL_UNREACHED = row(
    "platform.kernel-unreached", "A launch does not get to a kernel",
    Owner.OPERATOR, Retry.BACKOFF,
    "Read what the launch and its session say, and the service's log.",
)  # fmt: skip
