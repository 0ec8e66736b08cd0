"""Memory of idle sessions, and of the service itself, as proportional set sizes."""

from __future__ import annotations

import time

import psutil

from bench import machine
from bench.figures import Part, Row
from bench.jupyterhub import Hub
from bench.ours import Bench
from tests.e2e.service import Session

SETTLES = 3.0
"""Seconds after which a server that answered is idle."""


def memory(bench: Bench, hub: Hub | None, sessions: int) -> Part:
    """Sessions that do nothing, without and with a kernel; then the processes around them."""
    part = Part("memory", f"Memory (PSS), {sessions} idle sessions", "JupyterHub")
    ours = [bench.launch(bench.link)[0] for _ in range(sessions)]
    theirs = [hub.launch(f"idle-{number}") for number in range(sessions)] if hub else []
    for session in (*ours, *theirs):
        bench.visitor.first_answer(session)
    time.sleep(SETTLES)
    part.rows.append(Row("session without a kernel", _each(bench.sandboxes()), _each(_servers(hub)), unit="MB"))
    for session in (*ours, *theirs):
        _computes(bench, session)
    time.sleep(SETTLES)
    part.rows.append(Row("session with an idle kernel", _each(bench.sandboxes()), _each(_servers(hub)), unit="MB"))
    own = {name: machine.megabytes(processes) for name, processes in bench.own_processes().items()}
    around = machine.megabytes(hub.own_processes()) if hub else 0
    part.rows += [Row(name, [used], unit="MB") for name, used in own.items()]
    part.rows.append(Row("service, all of these", [sum(own.values())], [around] if hub else [], unit="MB"))
    for session in ours:
        bench.stop(session)
    for number in range(len(theirs)):
        if hub is not None:
            hub.remove(f"idle-{number}")
    part.notes.append("A session is its bubblewrap processes, its server and its kernel; the peer has no sandbox.")
    return part


def _computes(bench: Bench, session: Session) -> None:
    session.execute("1+1", bench.visitor.kernel(session))


def _each(sessions: list[list[psutil.Process]]) -> list[float]:
    return [machine.megabytes(processes) for processes in sessions]


def _servers(hub: Hub | None) -> list[list[psutil.Process]]:
    return hub.servers() if hub else []
