"""A CA that offers dns-persist-01 alone: Pebble, and a proxy before it that judges the record, as Boulder does.

    with running_pebble(tmp_path, dns=dns, environ=BELIEVING) as pebble, running_proxy(tmp_path, pebble) as proxy:
        offers_persistent(proxy, dns.address, dns.port, draft=1)

Pebble of 2022 does not know the challenge, so it believes all that is answered, and its challenge for dns-01 goes out
as one for dns-persist-01. The rules are those of Boulder's va/dns_persist.go (2026) and, of draft 02, of its section 4.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

import dns.message
import dns.query
import dns.rdatatype

from tests.fakes.acme_proxy import Answer, Exchange, Proxy, told

BELIEVING = {"PEBBLE_VA_ALWAYS_VALID": "1"}
ISSUER = "ca.example"
PREFIX = "https://ca.example/account-hash/"


@dataclass
class PersistentCa:
    """The rule of a proxy."""

    address: str
    port: int
    draft: int
    hosts: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """Challenge's path to its name, and whether that is a wildcard."""
    keys: dict[str, str] = field(default_factory=dict)
    """Account's URL to its key's thumbprint."""
    refused: dict[str, str] = field(default_factory=dict)
    """Challenge's path to why."""

    def __call__(self, exchange: Exchange) -> Answer | None:
        if exchange.path == "/dir" and self.draft >= 2:
            return _edited(exchange.forward(), lambda known: {**known, "meta": {**known["meta"], **self._offered}})
        if exchange.path == "/sign-me-up":
            answer = exchange.forward()
            self.keys[answer.headers["Location"]] = _thumbprint(exchange.protected["jwk"])
            return answer
        if exchange.path.startswith("/authZ/"):
            return self._authorization(exchange)
        if exchange.path.startswith("/chalZ/") and exchange.payload == {}:
            why = self.judged(*self.hosts[exchange.path], exchange.protected["kid"])
            if why:
                self.refused[exchange.path] = why
                return told({"type": "dns-persist-01", "url": exchange.protected["url"], "status": "invalid"})
        return None

    @property
    def _offered(self) -> dict[str, Any]:
        return {"issuerDomainNames": [ISSUER], "accountHashPrefix": PREFIX}

    def _authorization(self, exchange: Exchange) -> Answer:
        def edited(view: dict[str, Any]) -> dict[str, Any]:
            mine = next(one for one in view["challenges"] if one["type"] == "dns-01")
            path = "/" + mine["url"].split("/", 3)[3]
            self.hosts[path] = view["identifier"]["value"], bool(view.get("wildcard"))
            names = {"issuerDomainNames" if self.draft >= 2 else "issuer-domain-names": [ISSUER]}
            uri = {"accounturi": exchange.protected["kid"]} if self.draft == 1 else {}
            offered = {"type": "dns-persist-01", "url": mine["url"], "status": mine["status"], **names, **uri}
            if path in self.refused:
                problem = {"type": "urn:ietf:params:acme:error:unauthorized", "detail": self.refused[path]}
                return {**view, "status": "invalid", "challenges": [{**offered, "status": "invalid", "error": problem}]}
            return {**view, "challenges": [offered]}

        return _edited(exchange.forward(), edited)

    def judged(self, host: str, wildcard: bool, account: str) -> str:
        """Why a record does not show the name; `` where one does."""
        why = "No TXT record found for DNS-PERSIST-01 challenge"
        for text in self._texts(f"_validation-persist.{host}"):
            issuer, *parts = [part.strip(" \t") for part in text.split(";")]
            pairs = [(tag.strip().lower(), value.strip()) for tag, _, value in (part.partition("=") for part in parts)]
            known = dict(pairs)
            if issuer.lower() != ISSUER:
                continue
            if len(known) < len(pairs) or "" in known:
                why = f"malformed: {text}"
            elif known.get("accounturi") not in self._accounts(host, account):
                why = f"accounturi mismatch: {known.get('accounturi')}"
            elif wildcard and known.get("policy", "").lower() != "wildcard":
                why = "policy mismatch"
            else:
                return ""
        return why

    def _accounts(self, host: str, account: str) -> set[str]:
        if self.draft < 2:
            return {account}
        inputs = (bytes([len(name)]) + f"{name}{self.keys[account]}{account}".encode() for name in (host, "*"))
        return {f"{PREFIX}sha-256/{_base64url(hashlib.sha256(one).digest())}" for one in inputs}

    def _texts(self, name: str) -> list[str]:
        answer = dns.query.udp(dns.message.make_query(name, "TXT"), self.address, 5, self.port)
        found = [one for rrset in answer.answer if rrset.rdtype == dns.rdatatype.TXT for one in rrset]
        return [b"".join(one.strings).decode() for one in found]


def offers_persistent(proxy: Proxy, address: str, port: int, draft: int) -> PersistentCa:
    """The CA speaks this draft, and looks at this name server."""
    proxy.rule = ca = PersistentCa(address, port, draft)
    return ca


def _edited(answer: Answer, edit: Any) -> Answer:
    return replace(answer, body=json.dumps(edit(json.loads(answer.body))).encode())


def _thumbprint(jwk: dict[str, str]) -> str:
    """RFC 7638, of an EC key."""
    needed = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    return _base64url(hashlib.sha256(json.dumps(needed, separators=(",", ":"), sort_keys=True).encode()).digest())


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
