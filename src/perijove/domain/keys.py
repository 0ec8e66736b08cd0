"""Keys made from one secret, so that none has to be stored, logged or told in an event. Pure.

A key is an HMAC-SHA256 (RFC 2104) of what it opens; it outlives a restart and cannot be guessed from another.
"""

from __future__ import annotations

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

    def launch_key(self, number: int) -> str:
        """Held by whoever began a launch; shows them their session's token and resumes their stream."""
        return self._key(f"launch/{number}", 24)

    def build_token(self, spec: str, nonce: str, now: float, lifetime: float) -> str:
        """Comes with a page of ours, which alone has this `nonce`: the page may launch `provider/spec`."""
        opens = f"{int(now + lifetime)}.{nonce}"
        return f"{opens}.{self._key(f'build/{opens}/{spec}', 32)}"

    def build_token_holds(self, token: str, spec: str, now: float) -> bool:
        """Whether a token was made here, for this spec, and has not expired."""
        opens, _, _ = token.rpartition(".")
        expires, _, _ = opens.partition(".")
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12 or int(expires) < now:
            return False
        return self.same(token, f"{opens}.{self._key(f'build/{opens}/{spec}', 32)}")

    def solver_marker(self) -> str:
        """What our answers at a challenge's address carry, so that whoever looks knows that it was we who answered."""
        return self._key("solver", 16)

    @staticmethod
    def same(given: str, right: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(given.encode(), right.encode())
