"""Logs, as processes wrote them: whose each is, and when a line was written. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from perijove.domain.cluster import Thing, moment, text

_TIMES = (
    re.compile(r"(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?P<rest>\S*)"),
    re.compile(r"\[[A-Z] (?P<tornado>\d{6} \d\d:\d\d:\d\d) "),  # tornado/log.py, LogFormatter.DEFAULT_DATE_FORMAT
)
ERROR = re.compile(
    r"^\[[EC] |\b(?:ERROR|CRITICAL|FATAL)\b|\blevel=\"?(?:error|fatal|panic)|\"level\":\s*\"(?:error|fatal)|"
    r"^[EF]\d{4} |\[(?:error|crit|alert|emerg)\]|^(?:panic|fatal error|fatal):"
)
"""As traitlets and tornado, Python's logging, logrus, zap, klog, nginx and Go itself mark their errors."""
LONGEST = 4096
"""Characters of a line."""
_BEGIN = 80
"""Characters of a line in which its time stands."""


@dataclass(frozen=True)
class Log:
    """The end of one process's log."""

    name: str
    """The file, or the pod: `logs/hub-previous.log`."""
    words: str
    of: str
    """The component: `hub`, `binder`, `build`, `dind`; else how the file's name begins."""
    pods: tuple[Thing, ...]
    """The pods that may have written it; one where its name says which."""

    @property
    def before(self) -> bool:
        """Whether it is of the container before the one that runs."""
        return "previous" in self.name

    @cached_property
    def lines(self) -> list[str]:
        """As they stand, each cut to what a person would read of it: patterns take the square of a line's length."""
        return [line[:LONGEST] for line in self.words.splitlines()]

    def found(self, pattern: re.Pattern[str]) -> Iterator[str]:
        """Lines in which it stands, oldest first, as they are: a pattern meets one line and never the whole text."""
        return (line for line in self.lines if pattern.search(line))


def when(line: str) -> float:
    """When a line was written, Unix seconds; 0 where it does not say."""
    for pattern in _TIMES:
        match = pattern.search(line[:_BEGIN])
        if match is None:
            continue
        if "iso" in match.groupdict():
            zoned = re.match(r"[.,\d]*(Z|[+-]\d\d:?\d\d)", match["rest"])
            return moment(match["iso"] + (zoned[1] if zoned else "Z"))
        try:
            return datetime.strptime(match["tornado"], "%y%m%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return 0.0


def log(name: str, words: str, pods: Sequence[Thing]) -> Log:
    """A log and whose it is, by its name: a pod's own, else those of the component that it begins with."""
    stem = name.rpartition("/")[2].removesuffix(".log")
    mine = [one for one in pods if one.name and one.name in name]
    if mine:
        longest = max(mine, key=lambda one: len(one.name))
        return Log(name, words, component(longest) or stem, (longest,))
    of = next((one for one in ("image-builder", "cert-manager", "ingress-nginx") if stem.startswith(one)), "")
    of = of or re.split(r"[-_. ]", stem, maxsplit=1)[0].lower()
    if of == "traefik":
        of = "autohttps"
    theirs = tuple(one for one in pods if component(one) == of or (of == "build" and one.name.startswith("build-")))
    return Log(name, words, of, theirs)


def component(pod: Thing) -> str:
    """`hub`, `binder`, `singleuser-server` …; `` for what is not of the charts."""
    return text(pod.labels.get("component") or pod.labels.get("app.kubernetes.io/component"))
