"""The TXT record that shows a CA a name again and again. In: what it must hold. Out: its text. Frozen. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PersistentRecord:
    """The TXT record by which a CA is shown a name again and again (draft-ietf-acme-dns-persist-02, 4.1)."""

    name: str
    """`_validation-persist.binder.example.org`"""
    issuers: tuple[str, ...]
    """The CA's names, any of which will do."""
    accounts: tuple[str, ...]
    """URIs that are our account's, any of which will do."""
    wildcard: bool
    """Whether it must hold for the wildcard as well."""

    @property
    def value(self) -> str:
        """The record as it is proposed."""
        return f"{self.issuers[0]}; accounturi={self.accounts[0]}{'; policy=wildcard' if self.wildcard else ''}"

    @property
    def line(self) -> str:
        """The same for a zone's file; no string of a TXT record has more than 255 octets (RFC 1035, 3.3)."""
        parts = [self.value[first : first + 255] for first in range(0, len(self.value), 255)]
        return f"{self.name}. IN TXT " + " ".join(f'"{part}"' for part in parts)
