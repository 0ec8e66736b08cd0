"""Does the service run, answer, and keep what it should? In: facts. Out: findings. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from perijove.doctor.engine import NotSeen
from perijove.doctor.own.ground import fact
from perijove.domain import service_failures as rows
from perijove.domain.failures import NOT_UP, Evidence, Failure
from perijove.domain.findings import Confidence, Finding, sureness
from perijove.domain.ground import Own, Service
from perijove.domain.listening import http_listeners, session_hosts
from perijove.domain.service_failures import aside, put_aside

SERVICE = "The service"
OPENS_WITHIN = 120.0
"""Seconds until a service that starts says so to visitors, on a machine where much else runs."""


def runs(own: Own) -> Iterator[Finding]:
    """A process that holds the lock, and answers the operator."""
    service, root = own.service, own.ground.root
    if service.admin is None:
        return
    pid = service.holder.pid
    if _starts(service, service.admin):
        raise NotSeen(f"process {pid} is starting it, for {service.held_for:.0f} s now")
    if pid:
        lock = Evidence(str(root / "run/up.lock"), f"held by process {pid}")
        cause = f"process {pid} is {service.holder.doing or 'there'}, and the operator's socket says nothing"
        failure = rows.NOT_ANSWERING(cause, lock, *service.admin.evidence)
        commands: tuple[str, ...] = (f"kill {pid}", f"perijove up --state {shlex.quote(str(root))}")
        if service.holder.stopped:
            commands = (f"kill -CONT {pid}",)  # stopped, it does not hear SIGTERM; nothing is lost
        sure = Confidence.CERTAIN if service.holder.stopped else sureness(failure)
        yield Finding(failure, SERVICE, sure, commands=commands)
    elif service.admin.kind is NOT_UP:
        failure = NOT_UP("no process holds the state directory's lock", *service.admin.evidence)
        remedy = (f"perijove up --state {shlex.quote(str(root))}",)
        yield Finding(failure, SERVICE, Confidence.CERTAIN, commands=remedy)
    else:
        yield Finding(service.admin, SERVICE, sureness(service.admin))


def _starts(service: Service, admin: Failure) -> bool:
    """Whether nobody listens at the operator's socket yet, where it says to visitors that it starts, or will soon.

    All that a start waits for has limits: it ends by itself. A first one may install for long.
    """
    none = admin.kind is NOT_UP and any("No such file" in one.saw or "refused" in one.saw for one in admin.evidence)
    opens = service.opening or service.held_for < OPENS_WITHIN
    return none and service.holder.pid > 0 and not service.holder.stopped and opens


def settings(own: Own) -> Iterator[Finding]:
    """Whether the running service has what stands in the file that was named."""
    unlike = own.service.unlike
    if unlike:
        cause = f"{len(unlike)} settings of the file are not those of the running service"
        told = [Evidence(*one.split(": ", 1)) for one in unlike[:5]]
        yield Finding(rows.SETTINGS_UNLIKE(cause, *told), SERVICE, Confidence.CERTAIN, foreseen=True)


def answers(own: Own) -> Iterator[Finding]:
    """The socket that Caddy leads visitors to."""
    failure = fact(own.service.control)
    if failure is not None:
        yield Finding(failure, SERVICE, sureness(failure))


def ports(own: Own) -> Iterator[Finding]:
    """Whether they can be had, where Caddy does not have them."""
    failure = fact(own.service.ports)
    if failure is not None:
        yield Finding(failure, SERVICE, Confidence.CERTAIN, commands=("ss -ltunp",))


def data_plane(own: Own) -> Iterator[Finding]:
    """Caddy: there, and leading to us."""
    service = own.service
    if service.admin is not None and (not service.caddy or _starts(service, service.admin)):
        raise NotSeen("the service, which starts it, does not answer")
    failure = fact(service.data_plane)
    if failure is not None:
        ports = service.ports
        because = ports.kind.code if isinstance(ports, Failure) else ""
        pid = service.caddy
        again = "the service starts it again; sessions stay" if service.holder.pid else "then start the service"
        commands = (f"kill -9 {pid}   # {again}",) if pid else ()
        yield Finding(failure, "Caddy", sureness(failure), because, commands)


def pad(own: Own) -> Iterator[Finding]:
    """The process that holds the sandboxes, as the service hears from it."""
    failure = fact(own.service.pad)
    if failure is not None:
        process = own.service.pad_process
        stopped = failure.kind is rows.PAD_SILENT and process.stopped
        commands = (f"kill -CONT {process.pid}",) if stopped else (f"tail {own.ground.root / 'log/pad.log'}",)
        sure = Confidence.LIKELY if failure.kind is rows.PAD_SILENT and not stopped else Confidence.CERTAIN
        yield Finding(failure, "The pad", sure, commands=commands)


def secret(own: Own) -> Iterator[Finding]:
    """The one on disk, with which the next start makes all tokens."""
    same = fact(own.service.same_secret)
    if not same:
        path = own.ground.root / "control/secret"
        cause = "the next restart makes other tokens: no link to a running session will open it any more"
        where = Evidence(str(path), "its solver's marker is not the one in the running service's answers")
        yield Finding(rows.SECRET_CHANGED(cause, where), str(path), Confidence.CERTAIN, foreseen=True)


def journal(own: Own) -> Iterator[Finding]:
    """What the service reads at its next start, and when it lists."""
    told = fact(own.journal)
    if told.held and told.held != own.service.holder.pid:
        cause = f"process {told.held} keeps the service from writing it"
        failure = rows.JOURNAL_HELD(cause, Evidence(f"/proc/locks of {told.path}", f"written by process {told.held}"))
        kill = (f"ps -fp {told.held}", f"kill {told.held}")
        yield Finding(failure, str(told.path), Confidence.CERTAIN, commands=kill)
        return
    if told.damage:
        what = [Evidence(one.where, one.saw) for one in told.damage]
        more = f", and {told.more} more" if told.more else ""
        cause = f"{told.damage[0].where} cannot be read{more}"
        path = shlex.quote(str(told.path))
        if any(one.where == str(told.path) for one in told.damage):
            failure = rows.JOURNAL_DAMAGED(cause, *what, remedy=put_aside(told.path))
            yield Finding(failure, str(told.path), Confidence.CERTAIN, commands=(aside(told.path),))
            return
        commands = [f"cp -a {path} {path}.before"]
        for one in told.damage:
            if one.where.startswith("events, seq "):
                seq = one.where.split()[2]
                commands.append(f'sqlite3 {path} "delete from events where seq = {seq}"')  # noqa: S608 - text to read
        yield Finding(rows.JOURNAL_DAMAGED(cause, *what), str(told.path), Confidence.CERTAIN, commands=tuple(commands))


def login(own: Own) -> Iterator[Finding]:
    """What people log in by: the file of passwords, or the provider."""
    failure = fact(own.service.login)
    if failure is not None:
        yield Finding(failure, "Logging in", sureness(failure))


def origins(own: Own) -> Iterator[Finding]:
    """What sessions may do to one another in the browser of their visitor."""
    service = own.settings.service
    if service.session_hosts or session_hosts(service):
        return
    below = f"{(service.hosts or http_listeners(service))[0]}{service.base}user/"
    cause = "a page of one repository can read and use its visitor's other sessions here"
    failure = rows.ORIGIN_SHARED(cause, Evidence("service.session_hosts", f"not set: all sessions lie below {below}"))
    yield Finding(failure, SERVICE, Confidence.CERTAIN, foreseen=True)


def launch(own: Own) -> Iterator[Finding]:
    """What a launch of a tiny repository ended with."""
    one = fact(own.launch)
    if one.failure is not None:
        command = (f"perijove describe launch {one.number}",) if one.number else ()
        yield Finding(one.failure, "A launch of a tiny repository", Confidence.CERTAIN, commands=command)
