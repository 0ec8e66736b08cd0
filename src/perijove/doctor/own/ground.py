"""Is the machine fit to carry a service? In: facts. Out: findings about programs, kernel, room, clock, files. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from perijove.certifying.verdict.judging import clock_wrong
from perijove.doctor.engine import NotSeen
from perijove.domain.certificate_failures import CLOCK_WRONG
from perijove.domain.failures import DISK_FULL, WAITED_TOO_LONG, Evidence
from perijove.domain.findings import Confidence, Finding
from perijove.domain.ground import Own, Unseen
from perijove.domain.service_failures import FILE_TOO_OPEN
from perijove.launching.start.admission import Load, shortage

MEGABYTE = 1024**2
FEW_INODES = 10_000
"""As for admission: fewer are too few for one more session."""


def programs(own: Own) -> Iterator[Finding]:
    """Those that the service runs."""
    for failure in own.ground.missing:
        yield Finding(failure, "This machine", Confidence.CERTAIN)


def sandbox(own: Own) -> Iterator[Finding]:
    """Whether one was made."""
    seen = own.ground.sandbox
    if isinstance(seen, Unseen):
        raise NotSeen(seen.why)
    if seen is not None:
        yield Finding(seen, "This machine", Confidence.CERTAIN)


def state(own: Own) -> Iterator[Finding]:
    """The state directory."""
    if own.ground.state is not None:
        yield Finding(own.ground.state, str(own.ground.root), Confidence.CERTAIN)


def disk(own: Own) -> Iterator[Finding]:
    """Room for what a launch writes."""
    room, wish = own.ground.room, own.settings.launching.keep_disk
    where = Evidence(f"statvfs {own.ground.root}", f"{room.disk // MEGABYTE:,} MB and {room.inodes:,} inodes are free")
    cause = ""
    if room.disk < wish:
        cause = f"{room.disk // MEGABYTE:,} MB are free, and launches need {wish // MEGABYTE:,} (launching.keep_disk)"
    elif 0 < room.inodes < FEW_INODES:
        cause = f"only {room.inodes:,} inodes are free, and a session needs thousands"
    if cause:
        commands = ("perijove clean", f"du -xhd2 {own.ground.root} | sort -h | tail")
        yield Finding(DISK_FULL(cause, where), str(own.ground.root), Confidence.CERTAIN, commands=commands)


def memory(own: Own) -> Iterator[Finding]:
    """Room for one more session, by the rule that admission decides by."""
    settings, room = own.settings, own.ground.room
    plenty = type(room)(room.memory, settings.launching.keep_disk, 0)
    short = shortage("", Load((), 0), plenty, settings.launching, settings.session)
    if short:
        need = settings.launching.keep_memory + settings.session.memory_reserved
        seen = Evidence("MemAvailable of /proc/meminfo", f"{room.memory // MEGABYTE:,} MB")
        wished = Evidence("launching.keep_memory + session.memory_reserved", f"{need // MEGABYTE:,} MB")
        remedy = "Stop sessions that nobody needs, or whatever else uses the memory; or lower those settings."
        commands = ("perijove get sessions", "ps -eo pid,rss,comm --sort=-rss | head")
        failure = WAITED_TOO_LONG(f"a launch would wait now: {short}", seen, wished, remedy=remedy)
        yield Finding(failure, "This machine", Confidence.CERTAIN, commands=commands, foreseen=True)


def clock(own: Own) -> Iterator[Finding]:
    """Against what was written down already."""
    commands = ("timedatectl set-ntp true", "timedatectl")
    newest = 0 if isinstance(own.journal, Unseen) else own.journal.newest
    found = clock_wrong(newest - own.now, "the journal") if newest > own.now else None
    if found is not None:
        cause = f"{found[0].cause}: one of both was wrong"
        evidence = Evidence("the journal's last entry", f"{newest - own.now:+.0f} s from this machine's clock")
        yield Finding(CLOCK_WRONG(cause, evidence), "This machine's clock", Confidence.LIKELY, commands=commands)


def files(own: Own) -> Iterator[Finding]:
    """Keys that others can read."""
    for path, mode in own.ground.too_open:
        failure = FILE_TOO_OPEN("it holds keys, and not its owner alone may use it", Evidence(str(path), f"{mode:04o}"))
        yield Finding(failure, str(path), Confidence.CERTAIN, commands=(f"chmod 600 {path}",))
