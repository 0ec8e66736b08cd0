"""How does JSON tell a certificate, an order, a challenge, an issuer, a secret? In: records. Out: objects. Pure.

They have the shape of Kubernetes's, so that what people know of such objects holds here. Never a token, never a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from perijove.certifying.records import CertificateRecord, ChallengeRecord, Condition, IssuerRecord, OrderRecord
from perijove.domain import wire
from perijove.domain.certificates import HostName, IssuerKind, Secret, is_address

Object = dict[str, Any]
API_VERSION = "perijove/v1"


def time(at: float) -> str | None:
    """RFC 3339 in UTC, to the second; None for a time that is not known."""
    if not at:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def certificate(record: CertificateRecord) -> Object:
    """A host's certificate: `status.verdict` says it all in one line."""
    secret = record.secret
    return _object("Certificate", record.name, record.created_at) | {
        "spec": _names((record.name, *record.also))
        | {
            "secretName": record.name,
            "issuerRef": {"name": record.issuers[0] if record.issuers else ""},
            "issuers": list(record.issuers),
            "challenges": list(record.challenges),
        },
        "status": {
            "verdict": record.verdict,
            "conditions": [_condition(one) for one in record.conditions],
            "notBefore": time(secret.not_before) if secret else None,
            "notAfter": time(secret.not_after) if secret else None,
            "renewalTime": time(record.renewal_at),
            "renewalReason": record.renewal_why,
            "nextAttemptTime": time(record.next_attempt),
            "failure": wire.encode(record.failure) if record.failure else None,
            "failingSince": time(record.failing_since),
            "foreseen": record.foreseen,
            "trusted": record.trusted,
            "hsts": record.hsts,
            "failing": _failing(record.order),
            "order": record.order.name if record.order else None,
            "secret": _secret_status(secret) if secret else None,
        },
    }


def order(record: OrderRecord) -> Object:
    """One attempt, whatever became of it."""
    return _object("Order", record.name, record.created_at, owner=("Certificate", record.host)) | {
        "spec": _names(record.names or (record.host,))
        | {"issuerRef": {"name": record.issuer}, "directory": record.directory, "rehearsal": record.rehearsal},
        "status": {
            "state": record.state,
            "reason": record.reason,
            "step": record.step,
            "cause": record.cause,
            "message": record.message,
            "url": record.url,
            "revision": record.revision,
            "endTime": time(record.ended_at),
            "failing": _failing(record),
            "failure": wire.encode(record.failure) if record.failure else None,
        },
    }


def challenge(record: ChallengeRecord) -> Object:
    """What the CA wants to see; its token is left out."""
    return _object("Challenge", record.name, record.created_at, owner=("Order", record.order)) | {
        "spec": {"dnsName": record.host, "type": record.type, "url": record.url},
        "status": {
            "state": record.state,
            "presented": record.presented,
            "presentedAt": time(record.presented_at),
            "processing": record.processing,
            "reason": record.reason,
        },
    }


def issuer(record: IssuerRecord) -> Object:
    """Who signs."""
    told = {"server": record.directory, "staging": record.staging, "email": record.email, "profile": record.profile}
    return _object("Issuer", record.name, record.created_at) | {
        "spec": {record.kind: told if record.kind == IssuerKind.ACME else {}},
        "status": {
            "kind": record.kind,
            "conditions": [_condition(one) for one in record.conditions],
            "hosts": list(record.hosts),
            "failure": wire.encode(record.failure) if record.failure else None,
        },
    }


def secret(held: Secret) -> Object:
    """A key and its chain: where they lie, never what stands in them."""
    made = _object("Secret", held.host, held.not_before, owner=("Certificate", held.host))
    files = {"tls.crt": str(held.chain), "tls.key": str(held.key)}
    return made | {"type": "kubernetes.io/tls", "files": files, "status": _secret_status(held)}


def _failing(record: OrderRecord | None) -> Mapping[HostName, str]:
    """What keeps single ones of several names out."""
    return {host: failure.message for host, failure in record.failing} if record else {}


def _secret_status(held: Secret) -> Object:
    return {
        "revision": held.revision,
        "names": list(held.names),
        "issuer": held.issuer,
        "signedBy": held.signed_by,
        "serial": held.serial,
        "fingerprint": held.fingerprint,
        "notBefore": time(held.not_before),
        "notAfter": time(held.not_after),
    }


def _object(kind: str, name: str, created: float, owner: tuple[str, str] | None = None) -> Object:
    metadata: Object = {"name": name, "creationTimestamp": time(created)}
    if owner:
        metadata["ownerReferences"] = [{"kind": owner[0], "name": owner[1]}]
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata}


def _condition(one: Condition) -> Mapping[str, Any]:
    return {
        "type": one.type,
        "status": one.status,
        "reason": one.reason,
        "message": one.message,
        "lastTransitionTime": time(one.last_transition_time),
    }


def _names(names: tuple[HostName, ...]) -> Object:
    """Names and addresses apart, as certificates hold them."""
    addresses = [name for name in names if is_address(name)]
    found: Object = {"dnsNames": [name for name in names if name not in addresses]}
    return found | ({"ipAddresses": addresses} if addresses else {})
