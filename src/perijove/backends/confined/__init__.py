"""The port Confined: our own code on strangers' bytes, in a process that may die.

`client` asks; `process` is forked for each call, single-threaded and preloaded, and sees to its end; `child` gives up
all rights and does one call. A call costs a fork, some milliseconds, not an interpreter's start.
"""

from perijove.backends.confined.client import ConfinedCalls

__all__ = ["ConfinedCalls"]
