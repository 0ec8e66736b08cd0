"""Is the machine fit to carry a service? In: facts. Out: findings about programs, kernel, room, clock, files. Pure."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Iterator, Sequence
from typing import TypeVar

from perijove.certifying.formatting import moment, span
from perijove.certifying.verdict.judging import clock_wrong
from perijove.doctor.engine import NotSeen
from perijove.domain import failures as rows
from perijove.domain.certificate_failures import CLOCK_WRONG
from perijove.domain.certificates import is_address
from perijove.domain.cluster_session_failures import POLICY_UNENFORCED
from perijove.domain.egress_failures import PROXY_REFUSES
from perijove.domain.engine_settings import Builds, EngineKind
from perijove.domain.failures import Evidence, Failure
from perijove.domain.findings import Confidence, Finding, sureness
from perijove.domain.ground import PACKAGE_INDEX, FreeThen, Own, Reached, Unseen
from perijove.domain.isolation import Isolation
from perijove.domain.listening import loopback_only
from perijove.domain.service_failures import (
    FILE_TOO_OPEN,
    LAYERS_COPIED,
    MEMORY_NOT_HELD,
    NAMES_UNRESOLVED,
    SEATS_WITHOUT_MEMORY,
    SERVERS_STARTED,
    STORE_DAMAGED,
)
from perijove.domain.settings import Settings
from perijove.domain.sizes import size
from perijove.domain.system_failures import BASE_MISSING
from perijove.launching.start.admission import Load, shortage

DAY = 86400.0
SOON = 7 * DAY
"""Seconds that a forecast looks ahead, and back."""
SAMPLES = 12
STEADY = 0.8
"""Samples, and how well a line must fit them, for a forecast that is worth its name."""
CHOSEN_BY_VISITORS = (
    "Visitors named this host, and others are reached: perhaps it is gone for everybody, and nothing is wrong here. "
    "Where its repositories are launched elsewhere, look at this machine's DNS, proxy and firewall."
)
FEW_INODES = 10_000
"""As for admission: fewer are too few for one more session."""


_T = TypeVar("_T")


def fact(value: _T | Unseen) -> _T:
    """It, where it was seen. Raises NotSeen."""
    if isinstance(value, Unseen):
        raise NotSeen(value.why)
    return value


def programs(own: Own) -> Iterator[Finding]:
    """Those that the service runs."""
    for failure in own.ground.missing:
        yield Finding(failure, "This machine", Confidence.CERTAIN)


def sandbox(own: Own) -> Iterator[Finding]:
    """Whether one was made."""
    seen = fact(own.ground.sandbox)
    if seen is not None:
        yield Finding(seen, "This machine", sureness(seen))


def state(own: Own) -> Iterator[Finding]:
    """The state directory."""
    if own.ground.state is not None:
        yield Finding(own.ground.state, str(own.ground.root), Confidence.CERTAIN)


def disk(own: Own) -> Iterator[Finding]:
    """Room for what a launch writes."""
    room, floor = own.ground.room, own.settings.launching.keep_disk
    where = Evidence(f"statvfs {own.ground.root}", f"{size(room.disk)} and {room.inodes:,} inodes are free")
    cause = ""
    if room.disk < floor:
        cause = f"{size(room.disk)} are free, and launches need {size(floor)} (launching.keep_disk)"
    elif 0 < room.inodes < FEW_INODES:
        cause = f"only {room.inodes:,} inodes are free, and a session needs thousands"
    if cause:
        commands = ("perijove clean", f"du -xhd2 {own.ground.root} | sort -h | tail")
        yield Finding(rows.DISK_FULL(cause, where), str(own.ground.root), Confidence.CERTAIN, commands=commands)


def filling(own: Own) -> Iterator[Finding]:
    """When launches will find no room, at the pace of the last days; where that is soon."""
    room, need = own.ground.room, own.settings.launching.keep_disk
    since = [one for one in own.ground.past if own.now - SOON <= one.at <= own.now]
    if len(since) < SAMPLES or own.now - since[0].at < DAY:
        raise NotSeen("free space was not watched for a day yet")
    pace, fits = _pace([*since, FreeThen(own.now, room.disk)])
    if pace >= 0 or fits < STEADY or room.disk <= need:
        return
    left = (room.disk - need) / -pace
    if left < SOON:
        pace_of = f"the pace of the last {span(own.now - since[0].at)}"
        cause = f"at {pace_of}, launches find no room from {moment(own.now + left)} on"
        then = Evidence(f"free on {moment(since[0].at)}", size(since[0].disk))
        saw = f"{size(room.disk)}, {size(-pace * DAY)} less a day"
        now = Evidence(f"statvfs {own.ground.root}", saw)
        commands = ("perijove clean", f"du -xhd2 {own.ground.root} | sort -h | tail")
        yield Finding(
            rows.DISK_FULL(cause, then, now, remedy="Find what grows, or give it a larger disk, before that day."),
            str(own.ground.root), Confidence.LIKELY, commands=commands, foreseen=True,
        )  # fmt: skip


def _pace(samples: Sequence[FreeThen]) -> tuple[float, float]:
    """Bytes a second by least squares, and how well that fits: the square of the correlation."""
    times, sizes = [one.at for one in samples], [float(one.disk) for one in samples]
    if len(set(sizes)) == 1:
        return 0.0, 0.0
    return statistics.linear_regression(times, sizes).slope, statistics.correlation(times, sizes) ** 2


def store(own: Own) -> Iterator[Finding]:
    """What stands among the environments and is none: a launch that wants its place fails."""
    for one in own.ground.garbage:
        failure = STORE_DAMAGED("it cannot be used, and keeps its place", Evidence(one.where, one.saw))
        yield Finding(failure, one.where, Confidence.CERTAIN, commands=(f"rm -r {shlex.quote(one.where)}",))


def base(own: Own) -> Iterator[Finding]:
    """What environments with packages of the system stand on."""
    seen = fact(own.ground.base)
    if seen is not None:
        commands = ("apt-get install mmdebstrap", "perijove base prepare") if seen.kind is BASE_MISSING else ()
        yield Finding(seen, "The base", Confidence.CERTAIN, commands=commands, foreseen=True)


def homes(own: Own) -> Iterator[Finding]:
    """Where people have homes of their own."""
    seen = fact(own.ground.homes)
    if seen is not None:
        yield Finding(seen, own.settings.home.path, Confidence.CERTAIN)


def memory(own: Own) -> Iterator[Finding]:
    """Room for one more session, by the rule that admission decides by."""
    settings, room = own.settings, own.ground.room
    if settings.engine.kind is EngineKind.KUBERNETES:
        return  # sessions take none of this machine's
    plenty = type(room)(room.memory, settings.launching.keep_disk, 0, room.processors)
    short = shortage("", Load((), 0), plenty, settings.launching, settings.session)
    if short:
        need = settings.launching.keep_memory + settings.session.memory_reserved
        seen = Evidence("MemAvailable of /proc/meminfo", size(room.memory or 0))
        needed = Evidence("launching.keep_memory + session.memory_reserved", size(need))
        remedy = "Stop sessions that nobody needs, or whatever else uses the memory; or lower those settings."
        commands = ("perijove get sessions", "ps -eo pid,rss,comm --sort=-rss | head")
        failure = rows.WAITED_TOO_LONG(f"a launch would wait now: {short}", seen, needed, remedy=remedy)
        yield Finding(failure, "This machine", Confidence.CERTAIN, commands=commands, foreseen=True)


def seats(own: Own) -> Iterator[Finding]:
    """What is kept for classes, by the rule that admission keeps it by."""
    settings, there = own.settings, own.ground.memory
    if settings.engine.kind is EngineKind.KUBERNETES:
        return
    most = max(0, there - settings.launching.keep_memory) // max(1, settings.session.memory_reserved)
    for one in settings.launching.classes:
        if there and one.seats > most:
            reserved = size(settings.session.memory_reserved)
            cause = f"{one.name} has {one.seats} seats of {reserved} each, and this machine carries {most}"
            seen = Evidence("MemTotal of /proc/meminfo", size(there))
            failure = SEATS_WITHOUT_MEMORY(cause, seen)
            yield Finding(failure, f"The class {one.name}", Confidence.CERTAIN, foreseen=True)


def limits(own: Own) -> Iterator[Finding]:
    """Who keeps sessions to their memory, and what their environments cost."""
    isolation = fact(own.service.isolation)
    if failure := memory_not_held(isolation, own.settings):
        yield Finding(failure, "This machine", Confidence.CERTAIN)
    if isolation.open_policies:
        seen = Evidence("a pod that may reach nothing", f"reached {isolation.open_policies}")
        cause = "sessions reach each other, the cluster's API and private addresses"
        yield Finding(POLICY_UNENFORCED(cause, seen), "The cluster", Confidence.CERTAIN)
    if isolation.sandboxed and isolation.copied:
        seen = Evidence("the pad tried to lay a folder over another", isolation.copied)
        cause = "a session's own environment is a copy, which takes seconds and hundreds of MB; no base can be stood on"
        yield Finding(LAYERS_COPIED(cause, seen), "This machine", Confidence.CERTAIN)
    if isolation.started and own.settings.session.forked:
        seen = Evidence("the pad", isolation.started)
        cause = "a launch takes a second longer, and each session has 30 MB more for itself"
        yield Finding(SERVERS_STARTED(cause, seen), "This machine", Confidence.CERTAIN)


def memory_not_held(isolation: Isolation, settings: Settings) -> Failure | None:
    """Where strangers come in, and nothing counts all that their code takes."""
    if isolation.cgroups or not isolation.sandboxed or loopback_only(settings.service):
        return None
    cause = "a stranger's code can take more of the machine's memory than session.memory, and others are ended for it"
    remedy = ""
    if settings.engine.kind is EngineKind.KUBERNETES:  # which holds sessions
        if settings.engine.builds is Builds.JOBS:
            return None
        cause = "the code of a repository that is built can take the control plane's memory, which is ended with it"
        remedy = "Set engine.builds = jobs: it runs in pods of its own then."
    seen = Evidence("the pad", "it may make no control groups, and watches processes instead")
    return MEMORY_NOT_HELD(cause, seen, remedy=remedy)


def clock(own: Own) -> Iterator[Finding]:
    """Against what was written down already."""
    commands = ("timedatectl set-ntp true", "timedatectl")
    newest = 0 if isinstance(own.journal, Unseen) else own.journal.newest
    found = clock_wrong(newest - own.now, "the journal") if newest > own.now else None
    if found is not None:
        cause = f"{found[0].cause}: one of both was wrong"
        evidence = Evidence("the journal's last entry", f"{newest - own.now:+.0f} s from this machine's clock")
        yield Finding(CLOCK_WRONG(cause, evidence), "This machine's clock", Confidence.LIKELY, commands=commands)


def _reached(own: Own) -> tuple[Reached, ...]:
    if not (seen := fact(own.ground.reached)):
        raise NotSeen("uv's own files say where packages come from")
    return seen


def _is_address(address: str) -> bool:
    """Whether `host:port` is found without a resolver."""
    host = address.rpartition(":")[0].strip("[]")
    return host == "localhost" or is_address(host)


def names(own: Own) -> Iterator[Finding]:
    """Whether anybody answers who should know names; one name alone may be gone for everybody.

    Where any is found it is not the resolver: the others are visitors' choice, whose own servers may be silent.
    """
    tried = [one for one in _reached(own) if not _is_address(one.proxy or one.address)]
    lost = [one for one in tried if one.unresolved]
    if len(lost) == len(tried) and (any(one.no_resolver for one in lost) or len(lost) > 1):
        asked = ", ".join(own.ground.resolvers) or "nobody is named"
        seen = [Evidence(f"address of {one.proxy or one.address}", one.words) for one in lost]
        names = " and ".join(dict.fromkeys((one.proxy or one.address).rpartition(":")[0] for one in lost))
        failure = NAMES_UNRESOLVED(f"it finds no address of {names}", *seen, Evidence("/etc/resolv.conf", asked))
        yield Finding(failure, "This machine", sureness(failure), commands=("getent hosts pypi.org",))


def reach(own: Own) -> Iterator[Finding]:
    """Hosts without which a launch fails, or builds nothing new."""
    tried = _reached(own)
    unnamed = next(names(own), None)
    reached = next((one.address for one in tried if not one.words), "")
    for one in tried:
        if not one.words:
            continue
        theirs = one.what != PACKAGE_INDEX
        way = f" by the proxy {one.proxy}" if one.proxy else ""
        seen, remedy = [Evidence(one.address, one.words)], ""
        if theirs and reached:  # visitors named it: it may be gone for everybody, and nothing is wrong here
            seen.append(Evidence(reached, "is reached"))
            remedy = CHOSEN_BY_VISITORS
        kind = rows.HOST_UNREACHABLE if theirs else PROXY_REFUSES if one.proxy else rows.INDEX_UNREACHABLE
        failure = kind(f"{one.address} is not reached{way}: {one.words}", *seen, remedy=remedy)
        because = unnamed.code if unnamed is not None and one.unresolved else ""
        yield Finding(failure, one.address, Confidence.POSSIBLE if remedy else sureness(failure), because)


def files(own: Own) -> Iterator[Finding]:
    """Keys that others can read."""
    for path, mode in own.ground.too_open:
        failure = FILE_TOO_OPEN("it holds keys, and not its owner alone may use it", Evidence(str(path), f"{mode:04o}"))
        yield Finding(failure, str(path), Confidence.CERTAIN, commands=(f"chmod 600 {path}",))
