"""Is it a Binder that answers, and does it say that it is well? In: a SiteSeen. Out: findings. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from perijove.certifying.verdict import web_servers
from perijove.certifying.verdict.trail import LOGIN
from perijove.doctor.cluster.hub_api import BEFORE_ANY_POD, NO_USER, hub_ill
from perijove.doctor.cluster.telling import MOST, found, seen
from perijove.doctor.engine import NotSeen
from perijove.doctor.site import certificate, reaching
from perijove.doctor.site.streaming import ended
from perijove.doctor.site.telling import answered, hop, lines, program
from perijove.domain import cluster_failures as cluster
from perijove.domain.certificate_failures import NOT_VALID_NOW
from perijove.domain.failures import CATALOGUE, Evidence, Failure
from perijove.domain.findings import Confidence, Finding
from perijove.domain.site import Got, SiteSeen, json_object
from perijove.domain.site_failures import (
    BINDER_UNREACHED,
    CERTIFICATE_UNTRUSTED,
    NOT_A_BINDER,
    REDIRECT_ASTRAY,
    UNHEALTHY,
)

HUB, REGISTRY, QUOTA = "JupyterHub API", "Docker registry", "Pod quota"
"""Names of BinderHub's checks."""
SHOWN = 3


def binder(looked: SiteSeen) -> Iterator[Finding]:
    """Something else answers, or a web server alone."""
    health, versions = looked.health, looked.versions
    if health is None or versions is None:
        raise NotSeen("no port answers")
    if "binderhub" in json_object(versions.body) or _checks(health):
        return
    if own := _own(health) or _own(versions):
        yield Finding(own, looked.site.url, Confidence.CERTAIN)
    elif {health.status, versions.status} <= {0, 502, 503, 504}:
        worst = versions if versions.status else health
        name = web_servers.program(hop(worst)) or program(looked) or worst.server or "the web server"
        cause = f"{name} answers {worst.status}: what it passes requests on to does not answer it"
        if not worst.status:
            cause = f"{name} takes connections, and no answer comes: {worst.words}"
        yield found(
            BINDER_UNREACHED, cause, looked.site.url, Confidence.LIKELY, answered(health), answered(versions),
            commands=lines(looked),
        )  # fmt: skip
    else:
        cause = f"/versions answers {versions.status}, /health {health.status}, neither as a Binder does"
        astray = next(reaching.redirects(looked), None)
        if astray is None and _asks_who(looked, health) and _asks_who(looked, versions):
            saw = f"/versions answers {versions.status} {versions.location}".strip()
            raise NotSeen(f"whoever asks is not let in, or led elsewhere: {saw}")
        yield found(
            NOT_A_BINDER, cause, looked.site.url, Confidence.LIKELY, answered(versions), answered(health),
            because=None if astray is None else REDIRECT_ASTRAY,
        )  # fmt: skip


def health(looked: SiteSeen) -> Iterator[Finding]:
    """What /health says that is not well."""
    assert looked.health is not None
    checks = _checks(looked.health)
    if not checks:
        raise NotSeen(f"/health answers {looked.health.status} and names no checks: an old BinderHub has none")
    for one in checks:
        if one.get("ok") is False:
            yield from _ill(looked, looked.health, one)


def _ill(looked: SiteSeen, told: Got, one: dict[str, Any]) -> Iterator[Finding]:
    name = str(one.get("service", "a check without a name"))[:80]
    where = seen(f"GET {told.url}", f"{told.status} {json.dumps(one)}")
    if name == HUB and hub_ill(told.body):
        yield launches_fail(looked)
    elif name == REGISTRY:
        yield found(cluster.REGISTRY_CHECK_FAILS, f"/health says that its check {name} fails", name, _SURE, where)
    elif name == QUOTA and not ours(looked):
        cause = f"{one.get('total_pods')} of {one.get('quota')} pods are there"
        yield found(cluster.QUOTA_FULL, cause, name, _SURE, where)
    elif not one.get("_ignore_failure"):
        said = f": {str(one['message'])[:200]}" if one.get("message") else ""
        yield found(UNHEALTHY, f"its check {name} fails{said}", name, _SURE, where)


def _asks_who(looked: SiteSeen, got: Got) -> bool:
    """Whether it is answered by somebody who lets in whom he knows, or leads elsewhere."""
    host = urlsplit(got.location).hostname or looked.site.host
    return got.status in {401, 403} or (
        bool(got.location) and (host != looked.site.host or bool(LOGIN.search(got.location)))
    )


_SURE = Confidence.CERTAIN


def launches_fail(looked: SiteSeen) -> Finding:
    """That no user can be created; a certificate that is not valid explains it, as hubs are called by public names."""
    made = found(
        cluster.LAUNCHES_FAIL, BEFORE_ANY_POD, "launches", _SURE, *_no_users(looked),
        seen("what that excludes", "images, nodes and users' storage: none of them was asked for yet"),
        remedy="Look at BinderHub's way to the hub: hub_url, the certificate there, its token, the hub itself.",
        surer_with="`perijove doctor kubernetes`: BinderHub's settings and log",
    )  # fmt: skip
    reasons = {NOT_VALID_NOW.code, CERTIFICATE_UNTRUSTED.code, *certificate.FAKE_CODES}
    for seen_of in (*looked.others, looked):
        with suppress(NotSeen):
            for one in certificate.wrong(seen_of):
                if one.code in reasons:
                    return replace(made, because=one.code, because_of=one.subject)
    return made


def _no_users(looked: SiteSeen) -> Iterator[Evidence]:
    """Where that stands: in /health, in a launch's last event."""
    if looked.health is not None and hub_ill(looked.health.body):
        (hub,) = [one for one in _checks(looked.health) if one.get("service") == HUB][:1]
        yield seen(f"GET {looked.health.url}", f"{looked.health.status} {json.dumps(hub)}")
    if looked.build is not None and (said := NO_USER.search(str(ended(looked.build).get("message", "")))):
        yield seen(f"GET {looked.build.answer.url}, event failed", said[0])


def ours(looked: SiteSeen) -> bool:
    """Whether it is a Perijove."""
    return looked.versions is not None and "perijove" in json_object(looked.versions.body)


def told(failure: object) -> Failure | None:
    """A failure as a Perijove tells it, for whoever reads it here; None where it is none that is known."""
    if not isinstance(failure, dict) or (kind := CATALOGUE.get(str(failure.get("code")))) is None:
        return None
    places = [one for one in failure.get("evidence") or () if isinstance(one, dict)]
    evidence = tuple(seen(str(one.get("where", "")), str(one.get("saw", ""))) for one in places[:SHOWN])
    return kind(str(failure.get("cause", ""))[:MOST], *evidence, remedy=str(failure.get("remedy", ""))[:MOST])


def _own(got: Got) -> Failure | None:
    return told(json_object(got.body).get("failure"))


def _checks(got: Got) -> list[dict[str, Any]]:
    checks = json_object(got.body).get("checks")
    return [one for one in checks if isinstance(one, dict)] if isinstance(checks, list) else []
