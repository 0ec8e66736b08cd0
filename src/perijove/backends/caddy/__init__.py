"""Caddy as the data plane: what should it be told, is it running, and does it do so?

In: a DataPlaneTable. Out: a process of its own that outlives us and does what the table says. `configuration` and
`encryption` are pure; `process`, `program`, `addresses` and `alpn` act.
"""

from perijove.backends.caddy.process import Caddy
from perijove.backends.caddy.program import binary

__all__ = ["Caddy", "binary"]
