"""Who is who: settings → live objects → one TaskGroup of named tasks. The only package that knows everybody.

In: settings, a state directory, someone to tell. Out: a service that runs until it is asked to stop. Acts.
"""

from perijove.wiring.service import Service, on_signals

__all__ = ["Service", "on_signals"]
