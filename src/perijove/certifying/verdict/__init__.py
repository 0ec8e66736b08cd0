"""Would a CA see our answer, and if not, why? In: an `Observation`, what the CA says of itself. Out: a `Verdict`. Pure.

`judging` asks in the order in which things break: clock, names, CAA, addresses; `trail` reads the way from port 80 to
the challenge hop by hop, `outside` says what others may see, `web_servers` has the remedy in the words of who answered.
"""

from perijove.certifying.verdict.judging import Verdict, judge

__all__ = ["Verdict", "judge"]
