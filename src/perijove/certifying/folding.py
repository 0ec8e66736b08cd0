"""What the objects are that operators see. In: journal entries, secrets, decisions. Out: records. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from perijove.certifying.attempts import host_of
from perijove.certifying.formatting import listed, moment, span
from perijove.certifying.issuer import FALLS_OVER
from perijove.certifying.records import CertificateRecord, ChallengeRecord, Condition, IssuerRecord, OrderRecord
from perijove.certifying.renewal import RenewalDecision, lacking
from perijove.domain import certificate_events as e
from perijove.domain.certificate_failures import CERT_REVOKED
from perijove.domain.certificates import CertificateSpec, Issuer, IssuerKind, Secret
from perijove.domain.events import Entry, Failed
from perijove.domain.failures import Evidence, Failure

OPEN = ("pending", "processing")
WHILE_LOOKING = "It is looked at again all the time, and asked for as soon as that is put right"
WHILE_ASKING = "That was seen from here; the CA is asked all the same, for others may see it otherwise"


def order_record(name: str, entries: Sequence[Entry]) -> OrderRecord:
    """One attempt, as its events so far make it."""
    record = OrderRecord(name, host_of(name), "", "", "", "", "", False, "", "", "looking", "", None, 0, 0, ())
    for entry in entries:
        record = _order_after(record, entry)
    if record.ended_at:
        record = replace(record, challenges=tuple(replace(one, presented=False) for one in record.challenges))
    return record


def _order_after(record: OrderRecord, entry: Entry) -> OrderRecord:
    match entry.event:
        case e.OrderBegun(_, host, reason, message, names):
            return replace(record, host=host, cause=reason, message=message, created_at=entry.at, names=names)
        case e.Looked() | e.NameRefused():
            return _seen_of_name(record, entry.event)
        case e.IssuerChosen(issuer, directory, because):
            return replace(
                record, issuer=issuer, directory=directory, reason=because, step="ordering", failure=record.seen
            )
        case e.OrderPlaced(_, directory, url, rehearsal):
            return replace(
                record,
                url=url,
                directory=directory,
                rehearsal=rehearsal,
                state="pending",
                step="ordering",
                failure=record.seen,
            )
        case e.OrderSeen(status, problem):
            return replace(record, state=status.value, reason=problem.detail if problem else "")
        case e.Waiting(what, failure):
            return replace(record, reason=what, failure=failure)
        case e.Issued(revision, issuer):
            return replace(record, revision=revision, issuer=issuer, state="valid", step="serving", reason="")
        case e.HookRan(command, failure) if failure is not None:
            return replace(record, reason=f"{command}: {failure.message}")
        case e.Certified():
            return replace(record, step="certified", failure=None, ended_at=entry.at)
        case Failed(failure):
            state = record.state if record.state in ("invalid", "valid") else "errored"
            return replace(
                record, step="failed", state=state, reason=failure.message, failure=failure, ended_at=entry.at
            )
        case e.ChallengePresented() | e.ChallengeAnswered() | e.ChallengeSeen():
            return replace(record, challenges=_challenges_after(record, entry))
    return record


def _seen_of_name(record: OrderRecord, event: e.Looked | e.NameRefused) -> OrderRecord:
    """With what is wrong with a name, of several the first that is not well."""
    failing = {**dict(record.failing), event.host: event.failure}
    told = tuple((host, failure) for host, failure in failing.items() if failure is not None)
    if isinstance(event, e.NameRefused):
        return replace(record, failing=told)
    failure = told[0][1] if told else None
    reason = failure.message if failure else ""
    return replace(record, failing=told if event.host else (), failure=failure, reason=reason, seen=failure)


def _challenges_after(record: OrderRecord, entry: Entry) -> tuple[ChallengeRecord, ...]:
    """The attempt's challenges, once this has happened to one of them."""
    event, found = entry.event, {one.url: one for one in record.challenges}
    match event:
        case e.ChallengePresented(kind, url, token, host):
            known = found.get(url) or ChallengeRecord(
                f"{record.name}-{len(found) + 1}", record.name, host or record.host, kind.value,
                "pending", False, False, "", url, token, entry.at, 0,
            )  # fmt: skip
            found[url] = replace(known, presented=True, presented_at=entry.at, reason="the answer stands")
        case e.ChallengeAnswered(url) if url in found:
            found[url] = replace(found[url], processing=True, reason="the CA was told to look")
        case e.ChallengeSeen(url, status, problem) if url in found:
            reason = problem.detail or problem.type if problem else ""
            open_still = status in OPEN
            found[url] = replace(found[url], state=status, processing=open_still, presented=open_still, reason=reason)
    return tuple(found.values())


def issuer_record(issuer: Issuer, hosts: Iterable[str], orders: Iterable[Sequence[Entry]]) -> IssuerRecord:
    """An issuer, by what became of the orders it was asked for; these in any order."""
    created, last_at, failure, signed = 0.0, 0.0, None, False
    for entries in orders:
        chosen = ""
        for entry in entries:
            if isinstance(entry.event, e.IssuerChosen):
                chosen = entry.event.issuer
            if chosen != issuer.name:
                continue
            created = min(created or entry.at, entry.at)
            if entry.at < last_at:
                continue
            if isinstance(entry.event, (e.OrderPlaced, e.Issued)):
                last_at, failure, signed = entry.at, None, True
            elif isinstance(entry.event, Failed) and entry.event.failure.kind.code in FALLS_OVER:
                last_at, failure, signed = entry.at, entry.event.failure, False
    if issuer.kind is IssuerKind.LOCAL:
        signed = failure is None
    status = "True" if signed else "False" if failure else "Unknown"
    reason = "Ready" if signed else "Failed" if failure else "NotAskedYet"
    message = "it takes orders" if signed else failure.message if failure else "nobody has asked it yet"
    condition = Condition("Ready", status, reason, message, last_at)
    return IssuerRecord(
        issuer.name, issuer.kind.value, signed, (condition,), issuer.directory, issuer.staging, issuer.email,
        issuer.profile, tuple(hosts), failure, created,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """All that a host's record is made from."""

    spec: CertificateSpec
    secret: Secret | None
    decision: RenewalDecision | None
    last: OrderRecord | None
    """The last attempt."""
    before: Sequence[Entry]
    """What happened between attempts."""
    failing_since: float
    """When the first of the failures in a row was seen; 0 where there are none."""
    next_attempt: float
    """0 where none is waited for."""
    revoked: Entry | None
    trusted: bool
    hsts: bool
    created_at: float


def certificate_record(standing: Standing, now: float) -> CertificateRecord:
    """A host's certificate, its verdict first."""
    secret, last, decision = standing.secret, standing.last, standing.decision
    ready = secret is not None and now < secret.not_after and standing.revoked is None
    failure, since, foreseen = _failure(standing)
    running = last is not None and not last.ended_at
    verdict = _verdict(standing, failure, since, now, ready=ready, running=running)
    return CertificateRecord(
        standing.spec.host, verdict, ready, _conditions(standing, failure, now, ready=ready, running=running),
        tuple(issuer.name for issuer in standing.spec.issuers), tuple(kind.value for kind in standing.spec.challenges),
        secret, standing.trusted, standing.hsts,
        decision.again_at if decision and not decision.due else 0, decision.why if decision else "",
        0 if running else standing.next_attempt, failure, since, foreseen, last, standing.created_at,
        standing.spec.also,
    )  # fmt: skip


def _failure(standing: Standing) -> tuple[Failure | None, float, bool]:
    """What is wrong, since when, and whether it is foreseen only."""
    if (revoked := standing.revoked) is not None:
        serial = standing.secret.serial if standing.secret else ""
        return CERT_REVOKED(f"on {moment(revoked.at)}", Evidence(revoked.subject, serial)), revoked.at, False
    if (last := standing.last) is not None and last.failure is not None:
        return last.failure, standing.failing_since or last.created_at, False
    told = [entry for entry in standing.before if isinstance(entry.event, e.Foreseen)]
    if told and (last is None or told[-1].at >= last.ended_at):
        event = told[-1].event
        if isinstance(event, e.Foreseen) and event.failure is not None:
            return event.failure, told[-1].at, True
    return None, 0, False


def _verdict(
    standing: Standing, failure: Failure | None, since: float, now: float, *, ready: bool, running: bool
) -> str:
    """The one line."""
    secret, parts = standing.secret, []
    if ready and secret is not None:
        left = span(secret.not_after - now)
        parts.append(f"Ready: from {secret.issuer}, good until {moment(secret.not_after)} ({left})")
    elif secret is not None and now >= secret.not_after:
        parts.append(f"Not ready: the certificate ended {span(now - secret.not_after)} ago")
    else:
        parts.append("Not ready")
    missing = lacking(standing.spec, secret) if ready and secret is not None else ()
    if failure is not None:
        what = "but a renewal would fail" if ready else "because it fails"
        what = f"but without {listed(missing)}" if missing else what
        seen = f" (seen at {failure.evidence[0].where})" if failure.evidence else ""
        parts.append(f"{what} since {span(now - since)}: {failure.kind.title}: {failure.cause}{seen}. {failure.remedy}")
    elif running and standing.last is not None:
        parts.append(
            f"being got since {span(now - standing.last.created_at)}: {standing.last.reason or 'all goes well'}"
        )
    elif ready and standing.decision is not None and not standing.decision.due:
        parts.append(f"renewed on {moment(standing.decision.again_at)}")
    if running and failure is not None and standing.last is not None:
        parts.append(WHILE_LOOKING if standing.last.step == "looking" else WHILE_ASKING)
    elif standing.next_attempt > now:
        parts.append(f"The next attempt is in {span(standing.next_attempt - now)}, on {moment(standing.next_attempt)}")
    return "; ".join(parts[:2]).rstrip(".") + "".join(f". {part}" for part in parts[2:]) + "."


def _conditions(
    standing: Standing, failure: Failure | None, now: float, *, ready: bool, running: bool
) -> tuple[Condition, ...]:
    """Ready and Issuing, with the reasons that people know."""
    secret, last = standing.secret, standing.last
    if ready and secret is not None:
        message = f"Certificate is up to date and good until {moment(secret.not_after)}"
        if missing := lacking(standing.spec, secret):
            message += f", but without {listed(missing)}"
        first = Condition("Ready", "True", "Ready", message, secret.not_before)
    elif standing.revoked is not None:
        first = Condition("Ready", "False", "Revoked", failure.message if failure else "", standing.revoked.at)
    elif secret is not None:
        first = Condition("Ready", "False", "Expired", f"It ended on {moment(secret.not_after)}", secret.not_after)
    else:
        why = failure.message if failure else "there is no certificate yet"
        first = Condition("Ready", "False", "DoesNotExist", why, standing.created_at)
    if running and last is not None:
        return first, Condition("Issuing", "True", last.cause, last.reason or last.message, last.created_at)
    if last is not None and last.failure is not None:
        return first, Condition("Issuing", "False", "Failed", last.failure.message, last.ended_at)
    message = standing.decision.why if standing.decision else ""
    return first, Condition("Issuing", "False", "NotDue", message, last.ended_at if last else standing.created_at)
