"""Why a request is refused, or what it gave up: rows of the catalogue. Pure."""

from __future__ import annotations

from perijove.domain.failures import NO_SUCH_OBJECT, Evidence, Failure, Retry, operator_row, visitor_row

CLIENT_BANNED = operator_row(
    "start.client-banned", "Your network may not launch here",
    "Ask the operator: launching.banned_networks decides.",
)  # fmt: skip
RATE_LIMITED = visitor_row(
    "start.rate-limited", "Too many launches from your address",
    "Wait, or launch from this service's own page.", Retry.AFTER,
)  # fmt: skip
TOO_MANY_AT_ONCE = visitor_row(
    "start.too-many-at-once", "Too many launches or sessions of your address at once",
    "End a session that nobody needs any more, or wait until one ends.", Retry.AFTER,
)  # fmt: skip
FOREIGN_PAGE = visitor_row(
    "start.foreign-page", "Only this service's own pages may launch here",
    "Open the launch's link in the browser; the operator allows other sites' pages by service.cors_allow_origin.",
)  # fmt: skip
PUSH_NOT_SIGNED = operator_row(
    "start.push-not-signed", "Only signed pushes are taken here",
    "Give the Git host's webhook the secret that stands in the file of launching.push_secret_file.",
)  # fmt: skip
TOO_MANY_READERS = visitor_row(
    "start.too-many-readers", "Too many follow launches at this moment",
    "Wait a little; the launch goes on whoever looks.", Retry.AFTER,
)  # fmt: skip
LOG_CLOSED = visitor_row(
    "start.log-closed", "Only whoever began this launch may read its log",
    "Open it in the browser that began the launch; service.open_logs opens logs of public repositories to all.",
)  # fmt: skip
CANCELLED = visitor_row(
    "start.cancelled", "This launch was given up",
    "Launch again: what was fetched and built meanwhile is kept.", Retry.AFTER,
)  # fmt: skip
CANCEL_CLOSED = visitor_row(
    "start.cancel-closed", "Only whoever began this launch may give it up",
    "Use the button in the browser that began the launch.",
)  # fmt: skip
ADMIN_CLOSED = visitor_row(
    "start.admin-closed", "This page is the operator's",
    "Run `perijove admin` on the server: it prints a link that opens this page once.",
)  # fmt: skip
ADMIN_SHARED = operator_row(
    "start.admin-shared", "The operator's page is not served beside sessions",
    "Give sessions hosts of their own with service.session_hosts, or use `perijove get` and `perijove stop`.",
)  # fmt: skip
WRONG_HOST = visitor_row(
    "start.wrong-host", "This service is not reached by this name",
    "Use one of its own names; the operator lists them in service.hosts.",
)  # fmt: skip
DRAINING = operator_row(
    "platform.draining", "The service is about to stop",
    "Launch again in a minute.", Retry.BACKOFF,
)  # fmt: skip
DRAINED = operator_row(
    "platform.drained", "No new launches are taken now",
    "Come back later; sessions that run go on.",
)  # fmt: skip


def not_listed(kind: str, cause: str, *evidence: Evidence) -> Failure:
    """An operator asked for what is none of `kind`, as `perijove get` names kinds."""
    return NO_SUCH_OBJECT(cause, *evidence, remedy=f"`perijove get {kind}` lists what there is.")
