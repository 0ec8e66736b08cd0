"""The operator's commands for certificates, on the admin socket. JSON in and out; joined in `admin`.

Keys leave by `export` alone, and only where they are asked for.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perijove.certifying.records import CertificateRecord, IssuerRecord, OrderRecord
from perijove.domain import wire
from perijove.domain.certificate_failures import FILE_UNREADABLE
from perijove.domain.certificates import HostName, OrderName, Secret
from perijove.domain.events import Entry
from perijove.domain.failures import BAD_REQUEST, Evidence, Fail
from perijove.domain.ground import CertificateState
from perijove.domain.request_failures import not_listed
from perijove.journal import Journal
from perijove.web import certificate_objects as shapes
from perijove.web.certificate_objects import Object
from perijove.web.event_objects import encoded, event, host_of
from perijove.web.line_streams import line_stream
from perijove.web.watching import is_watched, watch

LISTED = 200
"""Attempts and events that a list shows."""
Handler = Callable[[Request], Awaitable[Response]]
Listed = Callable[[HostName], list[Object]]
"""Objects of one kind; of one certificate alone where its name is given."""


class Keeper(Protocol):
    """What is done for operators: `certifying.keeper.Certificates`."""

    def called(self, name: HostName) -> HostName: ...

    def issue(self, host: HostName, *, force: bool = False) -> OrderName: ...

    def export(self, host: HostName) -> Secret: ...

    async def revoke(self, host: HostName, reason: str = "unspecified") -> None: ...

    async def import_(self, host: HostName, chain: bytes, key: bytes, origin: str) -> Secret: ...


class Objects(Protocol):
    """What operators see, read afresh at each call."""

    def certificates(self) -> Sequence[CertificateRecord]: ...

    def orders(self, limit: int) -> Sequence[OrderRecord]:
        """The last attempts, the newest first."""
        ...

    def issuers(self) -> Sequence[IssuerRecord]: ...

    async def state(self, host: HostName) -> CertificateState: ...


@dataclass(frozen=True, slots=True)
class CertificateAdmin:
    """Handlers over the keeper of certificates."""

    keeper: Keeper
    objects: Objects
    journal: Journal
    root: Callable[[], bytes]
    """The embedded CA's root in PEM; raises Fail `cert.local-ca-broken`."""

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Rows of the admin's URL map; the first that matches answers."""
        rows: list[tuple[str, str, Handler]] = [
            ("GET", "/trust", self.trust),
            ("GET", "/orders/{name}/events", self.order_events),
            ("GET", "/certificates/{name}/export", self.export),
            ("POST", "/certificates/{name}/look", self.look),
            ("POST", "/certificates/{name}/issue", self.issue),
            ("POST", "/certificates/{name}/renew", self.issue),
            ("POST", "/certificates/{name}/revoke", self.revoke),
            ("POST", "/certificates/{name}/import", self.import_),
        ]
        for kind, listed in self._kinds().items():
            rows.append(("GET", f"/{kind}", self._list(kind, listed)))
            rows.append(("GET", f"/{kind}/{{name:path}}", self._one(kind, listed)))
        return rows

    # objects

    def _kinds(self) -> dict[str, Listed]:
        return {
            "issuers": lambda of: [shapes.issuer(one) for one in self.objects.issuers()],
            "certificates": lambda of: [shapes.certificate(one) for one in self._certificates(of)],
            "orders": lambda of: [shapes.order(one) for one in self._orders(of)],
            "challenges": lambda of: [shapes.challenge(one) for order in self._orders(of) for one in order.challenges],
            "secrets": lambda of: [shapes.secret(one.secret) for one in self._certificates(of) if one.secret],
            "events": self._told,
        }

    def _list(self, kind: str, listed: Listed) -> Handler:
        async def handle(request: Request) -> Response:
            return self._answer(request, kind, lambda: listed(_certificate(request)))

        return handle

    def _one(self, kind: str, listed: Listed) -> Handler:
        async def handle(request: Request) -> Response:
            name = request.path_params["name"]
            if kind in ("certificates", "secrets"):
                name = self.keeper.called(name) or name

            def named() -> list[Object]:
                return [one for one in listed("") if one["metadata"]["name"] == name]

            if is_watched(request):
                return self._answer(request, kind, named)
            found = named()
            if not found:
                raise Fail(not_listed(kind, f"there is no {kind.removesuffix('s')} {name[:260]}"))
            return JSONResponse(found[0])

        return handle

    def _answer(self, request: Request, kind: str, listed: Callable[[], list[Object]]) -> Response:
        """The list, or its changes from now on."""
        if not is_watched(request):
            return JSONResponse(listed())

        async def again() -> list[Object]:
            return listed()

        # Of its sentences the times grow by themselves.
        spoken, is_event = ("status.verdict", "status.renewalReason"), kind == "events"
        return watch(self.journal, again, lambda one: one["metadata"]["name"], ignored=spoken, kept=is_event)

    def _certificates(self, of: HostName) -> list[CertificateRecord]:
        return [one for one in self.objects.certificates() if of in ("", one.name)]

    def _orders(self, of: HostName) -> list[OrderRecord]:
        return [one for one in self.objects.orders(LISTED) if of in ("", one.host)]

    def _told(self, of: HostName) -> list[Object]:
        """The last events, the newest last; without a certificate's name, those of launches and sessions too."""
        ledger = self.journal.ledger
        subjects = [name for kind in ("certificate/", "order/") for name in ledger.subjects(kind, LISTED)]
        subjects = [name for name in subjects if of in ("", host_of(name))]
        if not of:
            subjects += [
                name for kind in ("launch/", "session/", "operator/") for name in ledger.subjects(kind, LISTED)
            ]
        entries = sorted((entry for name in subjects for entry in ledger.steps(name)), key=lambda entry: entry.seq)
        return [event(entry) for entry in entries[-LISTED:]]

    async def order_events(self, request: Request) -> Response:
        """An attempt's events, a line each, as they are and in words; those to come as well with `follow=1`."""
        name = request.path_params["name"]
        subject = f"order/{name}"
        if not self.journal.read(subject, 0, 1):
            raise Fail(not_listed("orders", f"there is no order {name[:260]}"))

        async def lines() -> AsyncGenerator[bytes, None]:
            if request.query_params.get("follow") == "1":
                async for entry in self.journal.follow(subject):
                    yield _line(entry)
                return
            for entry in self.journal.ledger.steps(subject):
                yield _line(entry)

        return line_stream(lines())

    # commands

    async def issue(self, request: Request) -> Response:
        """Issue or renew: an attempt now, whatever the certificate that is there says of itself."""
        asked = await _asked(request)
        return JSONResponse({"order": self.keeper.issue(self._host(request), force=asked.get("force") is True)})

    async def look(self, request: Request) -> Response:
        """The certificate's state, with what an order would meet now: a made-up answer is put up for it."""
        return JSONResponse(wire.encode(await self.objects.state(self._host(request))))

    async def revoke(self, request: Request) -> Response:
        asked, host = await _asked(request), self._host(request)
        await self.keeper.revoke(host, str(asked.get("reason", "unspecified")))
        return JSONResponse({"revoked": host})

    async def import_(self, request: Request) -> Response:
        asked, host = await _asked(request), self._host(request)
        chain, key = asked.get("chain"), asked.get("key")
        if not isinstance(chain, str) or not isinstance(key, str):
            raise Fail(BAD_REQUEST("an import needs `chain` and `key`, both PEM"))
        secret = await self.keeper.import_(host, chain.encode(), key.encode(), str(asked.get("origin", ""))[:300])
        return JSONResponse({"imported": host, "notAfter": shapes.time(secret.not_after)})

    async def export(self, request: Request) -> Response:
        """The chain; the key with `key=1` alone."""
        secret = self.keeper.export(self._host(request))
        told = {"chain": _read(secret.chain)}
        if request.query_params.get("key") == "1":
            told["key"] = _read(secret.key)
        return JSONResponse(told, headers={"Cache-Control": "no-store"})

    async def trust(self, request: Request) -> Response:
        return JSONResponse({"root": self.root().decode()})

    def _host(self, request: Request) -> HostName:
        """How a certificate is called that is here, or shall be: by the first of its names; asked for by any."""
        name: str = request.path_params["name"]
        if not (host := self.keeper.called(name)):
            raise Fail(not_listed("certificates", f"there is no certificate {name[:260]}"))
        return host


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise Fail(FILE_UNREADABLE("it cannot be exported", Evidence(str(path), str(error)))) from error


def _certificate(request: Request) -> HostName:
    return request.query_params.get("certificate", "")


async def _asked(request: Request) -> dict[str, Any]:
    """The request's body. Raises Fail: `start.bad-request`."""
    try:
        asked = json.loads(await request.body() or b"{}")
    except ValueError as error:
        raise Fail(BAD_REQUEST("its body is no JSON", Evidence("the request's body", str(error)))) from error
    if not isinstance(asked, dict):
        raise Fail(BAD_REQUEST("its body is no JSON object"))
    return asked


def _line(entry: Entry) -> bytes:
    told = {"seq": entry.seq, "at": entry.at, "event": encoded(entry.event), "told": event(entry)}
    return json.dumps(told, ensure_ascii=False).encode() + b"\n"
