"""Keys made from one secret, so that none has to be stored, logged or told in an event. Pure.

A key is an HMAC-SHA256 (RFC 2104) of what it opens; it outlives a restart and cannot be guessed from another.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Keys:
    """Makes and checks keys. `secret` is 32 random bytes."""

    secret: bytes = field(repr=False)

    def _key(self, purpose: str, length: int) -> str:
        return hmac.new(self.secret, purpose.encode(), hashlib.sha256).hexdigest()[:length]

    def session_token(self, session: str) -> str:
        """The token of a session's Jupyter server."""
        return self._key(f"session/{session}", 48)

    def session_files(self, session: str) -> str:
        """Opens the files of a session that is a pod, to us."""
        return self._key(f"files/{session}", 48)

    def session_grant(self, session: str, login: str) -> str:
        """Held by a browser that may open a session, once somebody whose session it is has logged in with it."""
        return self._key(f"grant/{session}/{login}", 48)

    def person_key(self, name: str) -> str:
        """A visitor's key for whoever has logged in by this name: 43 characters of base64url."""
        made = hmac.new(self.secret, f"person/{name}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(made).decode().rstrip("=")

    def launch_key(self, number: int) -> str:
        """Held by whoever began a launch; shows them their session's token and resumes their stream."""
        return self._key(f"launch/{number}", 24)

    def build_token(self, spec: str, nonce: str, now: float, lifetime: float) -> str:
        """Comes with a page of ours, which alone has this `nonce`: the page may launch `provider/spec`."""
        return self._dated("build", f"/{spec}", nonce, now, lifetime)

    def build_token_holds(self, token: str, spec: str, now: float) -> bool:
        """Whether a token was made here, for this spec, and has not expired."""
        return self._dated_holds(token, "build", f"/{spec}", now)

    def operator_token(self, purpose: str, nonce: str, now: float, lifetime: float) -> str:
        """Opens the operator's page, as a link or as a cookie."""
        return self._dated("operator", f"/{purpose}", nonce, now, lifetime)

    def operator_token_holds(self, token: str, purpose: str, now: float) -> bool:
        """Whether a token was made here, for this purpose, and has not expired."""
        return self._dated_holds(token, "operator", f"/{purpose}", now)

    def _dated(self, kind: str, whose: str, nonce: str, now: float, lifetime: float) -> str:
        opens = f"{int(now + lifetime)}.{nonce}"
        return f"{opens}.{self._key(f'{kind}/{opens}{whose}', 32)}"

    def _dated_holds(self, token: str, kind: str, whose: str, now: float) -> bool:
        opens, _, _ = token.rpartition(".")
        expires, _, _ = opens.partition(".")
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12 or int(expires) < now:
            return False
        return self.same(token, f"{opens}.{self._key(f'{kind}/{opens}{whose}', 32)}")

    def solver_marker(self) -> str:
        """What our answers at a challenge's address carry, so that whoever looks knows that it was we who answered."""
        return self._key("solver", 16)

    @staticmethod
    def same(given: str, right: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(given.encode(), right.encode())
