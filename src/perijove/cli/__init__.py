"""The command line: commands in, events and findings out, printed for people or as JSON. Exit statuses live here."""

import gc
import sys

# Before anything large is imported: what that makes stays, and need not be searched for garbage again and again.
gc.set_threshold(10_000)
# httpx can do without its own command, which brings click, pygments and half of rich: a tenth of each start. None here
# means that there is no such module ("The module cache" in Python's reference of its import system).
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
