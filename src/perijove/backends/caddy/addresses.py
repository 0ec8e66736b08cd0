"""May this machine listen there? In: the table's addresses. Out: those it can have, or the failure that says why not.

Asked before Caddy is, since it shares a port silently (SO_REUSEPORT) with another Caddy of the same user.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import replace

import psutil

from perijove.domain import failures
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.nouns import DataPlaneTable
from perijove.domain.parsing import split_address


def present(table: DataPlaneTable, *, ipv6: bool) -> DataPlaneTable:
    """The table without `[::]:PORT`s where this machine has no IPv6 and their IPv4 twin stands beside them."""
    if ipv6:
        return table
    return replace(table, http=_without_twins(table.http), https=_without_twins(table.https))


def has_ipv6() -> bool:
    """Whether this machine can listen by IPv6 at all."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def check(table: DataPlaneTable, held: tuple[str, ...]) -> None:
    """Raise unless each address is free or held by our own Caddy (`held`).

    Raises Fail: `platform.port-taken`, `platform.port-forbidden`, `platform.bad-settings`.
    """
    if twice := set(table.http) & set(table.https):
        seen = Evidence("service.http and service.https", " ".join(sorted(twice)))
        raise Fail(failures.BAD_SETTINGS("one address cannot be for http and for https", seen))
    ours = {_kind(address) for address in held}
    for setting, addresses in (("http", table.http), ("https", table.https)):
        for address in addresses:
            if _kind(address) not in ours:
                _bind(address, setting)


def taken(address: str, setting: str, said: Evidence) -> Failure:
    """That address belongs to somebody, who is named where this user may see them."""
    port = split_address(address)[1]
    try:
        listeners = (c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
        holders = {c.pid for c in listeners if c.laddr and c.laddr.port == port}
        names = [f"{psutil.Process(pid).name()} (process {pid})" for pid in sorted(filter(None, holders))]
    except psutil.Error:
        names = []
    holder = " and ".join(names) or "a program this user may not see"
    remedy = f"Stop that program, or choose another address with --{setting}."
    return failures.PORT_TAKEN(f"{holder} listens on {address}, where service.{setting} should", said, remedy=remedy)


def named(words: str, table: DataPlaneTable) -> tuple[str, str]:
    """The address that Caddy's words are about, and its setting."""
    ours = [(one, "http") for one in table.http] + [(one, "https") for one in table.https]
    return next((one for one in ours if f"{one[0]}: " in words), ours[0])


def _bind(address: str, setting: str) -> None:
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((host, port))
            probe.listen()
    except OSError as error:
        said = Evidence(f"bind {address}", error.strerror or str(error))
        if error.errno == errno.EADDRINUSE:
            raise Fail(taken(address, setting, said)) from error
        if error.errno == errno.EACCES:
            raise Fail(_forbidden(address, setting, said)) from error
        cause = f"This machine cannot listen on service.{setting} = {address}"
        raise Fail(failures.BAD_SETTINGS(cause, said)) from error


def _forbidden(address: str, setting: str, said: Evidence) -> Failure:
    port = split_address(address)[1]
    remedy = (
        f"Give everybody the port with `sysctl -w net.ipv4.ip_unprivileged_port_start={port}`, or run it by its "
        f"systemd unit, which may; or choose a port of 1024 or above with --{setting}."
    )
    cause = f"This user may not listen on {address} (service.{setting})"
    return failures.PORT_FORBIDDEN(cause, said, remedy=remedy)


def _without_twins(addresses: tuple[str, ...]) -> tuple[str, ...]:
    known = {split_address(address) for address in addresses}
    twins = {("::", port) for host, port in known if host == "0.0.0.0"}
    return tuple(address for address in addresses if split_address(address) not in twins)


def _kind(address: str) -> tuple[bool, int]:
    host, port = split_address(address)
    return ":" in host, port
