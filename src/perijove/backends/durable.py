"""The old place of `perijove.durable`, for who still imports it from here; goes once nobody does."""

from __future__ import annotations

from perijove.durable import folder, link, read, sync, told, write

__all__ = ["folder", "link", "read", "sync", "told", "write"]
