"""Why a request is refused before anything is begun: rows of the catalogue. Pure."""

from __future__ import annotations

from perijove.domain.failures import Owner, Retry, row

CLIENT_BANNED = row(
    "start.client-banned", "Your network may not launch here",
    Owner.OPERATOR, Retry.NEVER,
    "Ask the operator: launching.banned_networks decides.",
)  # fmt: skip
RATE_LIMITED = row(
    "start.rate-limited", "Too many launches from your address",
    Owner.VISITOR, Retry.AFTER,
    "Wait, or launch from this service's own page.",
)  # fmt: skip
TOO_MANY_AT_ONCE = row(
    "start.too-many-at-once", "Too many launches or sessions of your address at once",
    Owner.VISITOR, Retry.AFTER,
    "End a session that nobody needs any more, or wait until one ends.",
)  # fmt: skip
FOREIGN_PAGE = row(
    "start.foreign-page", "Only this service's own pages may launch here",
    Owner.VISITOR, Retry.NEVER,
    "Open the launch's link in the browser; the operator allows other sites' pages by service.cors_allow_origin.",
)  # fmt: skip
TOO_MANY_READERS = row(
    "start.too-many-readers", "Too many follow launches at this moment",
    Owner.VISITOR, Retry.AFTER,
    "Wait a little; the launch goes on whoever looks.",
)  # fmt: skip
LOG_CLOSED = row(
    "start.log-closed", "Only whoever began this launch may read its log",
    Owner.VISITOR, Retry.NEVER,
    "Open it in the browser that began the launch; service.open_logs opens logs of public repositories to all.",
)  # fmt: skip
WRONG_HOST = row(
    "start.wrong-host", "This service is not reached by this name",
    Owner.VISITOR, Retry.NEVER,
    "Use one of its own names; the operator lists them in service.hosts.",
)  # fmt: skip
