"""Which HTTP status does a failure have? The one table that says so. Pure."""

from __future__ import annotations

from perijove.domain import auth_failures as a
from perijove.domain import certificate_failures as c
from perijove.domain import failures as f
from perijove.domain import keeping_failures as k
from perijove.domain import people_failures as p
from perijove.domain import request_failures as r
from perijove.domain import server_failures as s
from perijove.domain import service_failures as o
from perijove.domain.failures import Failure, Owner

BY_KIND: dict[str, int] = {
    f.BAD_LINK.code: 400,
    f.UNKNOWN_PROVIDER.code: 404,
    f.FORBIDDEN_ADDRESS.code: 403,
    f.REPO_NOT_FOUND.code: 404,
    f.REF_NOT_FOUND.code: 404,
    f.REPO_FORBIDDEN.code: 403,
    f.TOO_LARGE.code: 413,
    f.NOT_ALLOWED.code: 403,
    a.LOGIN_NEEDED.code: 401,
    a.LOGIN_WRONG.code: 403,
    a.LOGIN_SLOWED.code: 429,
    a.LOGIN_CROWD.code: 503,
    a.NOT_YOURS.code: 403,
    a.NOT_FOR_YOU.code: 403,
    a.NAME_UNUSABLE.code: 403,
    a.LOGIN_REFUSED.code: 403,
    a.PROVIDER_SILENT.code: 502,
    a.PROVIDER_WRONG.code: 502,
    p.DEVICE_ENDED.code: 403,
    p.TOKEN_REFUSED.code: 403,
    p.TOKEN_LACKS_ACCESS.code: 404,
    p.HOME_SILENT.code: 503,
    r.CLIENT_BANNED.code: 403,
    r.RATE_LIMITED.code: 429,
    r.TOO_MANY_AT_ONCE.code: 429,
    r.FOREIGN_PAGE.code: 403,
    r.LOG_CLOSED.code: 403,
    r.CANCEL_CLOSED.code: 403,
    r.ADMIN_CLOSED.code: 403,
    r.ADMIN_SHARED.code: 403,
    r.PUSH_NOT_SIGNED.code: 403,
    r.TOO_MANY_READERS.code: 503,
    r.WRONG_HOST.code: 421,
    f.BAD_REQUEST.code: 400,
    f.QUEUE_FULL.code: 503,
    f.WAITED_TOO_LONG.code: 503,
    r.DRAINING.code: 503,
    r.DRAINED.code: 503,
    f.INTERRUPTED.code: 503,
    f.DATA_PLANE_DOWN.code: 503,
    f.PAD_DOWN.code: 503,
    o.PAD_SILENT.code: 503,
    c.HTTPS_PENDING.code: 503,
    f.NO_SUCH_OBJECT.code: 404,
    f.NO_LONGER_KEPT.code: 410,
    f.BUILD_TOO_SLOW.code: 504,
    f.TOO_SLOW.code: 504,
    k.NOTHING_KEPT.code: 404,
    s.SERVER_TOO_SLOW.code: 504,
    s.SERVER_STARVED.code: 503,
    s.SERVER_KILLED.code: 503,
}
"""Kinds whose status is not their owner's."""

BY_OWNER: dict[Owner, int] = {
    Owner.VISITOR: 400,
    Owner.AUTHOR: 422,
    Owner.OPERATOR: 500,
    Owner.UPSTREAM: 502,
    Owner.US: 500,
}


def status(failure: Failure) -> int:
    """400 to 599."""
    return BY_KIND.get(failure.kind.code, BY_OWNER[failure.kind.owner])
