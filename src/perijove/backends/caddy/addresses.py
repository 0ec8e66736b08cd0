"""May this machine listen there? In: the table's addresses. Out: sockets for Caddy, or the failure that says why not.

Caddy inherits its sockets: one that it opens itself is replaced at each reload, and whoever waits in the old one's
queue just then is reset. Those it must open itself, added while it runs, are tried first, since it shares a port
silently (SO_REUSEPORT) with another Caddy of the same user. Acts.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from dataclasses import replace

import psutil

from perijove.domain import failures
from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.listening import UDP
from perijove.domain.parsing import split_address

BACKLOG = 4096
"""Connections that may wait to be accepted; the kernel's net.core.somaxconn if that is less (listen(2))."""
DEFERRED = 30
"""Seconds that a connection without a byte may stay with the kernel (tcp(7)); Caddy's own limit for a header."""


def present(table: DataPlaneTable, *, ipv6: bool) -> DataPlaneTable:
    """The table without `[::]:PORT`s where this machine has no IPv6 and their IPv4 twin stands beside them."""
    if ipv6:
        return table
    quic = tuple(UDP + one for one in _without_twins(tuple(one.removeprefix(UDP) for one in table.quic)))
    return replace(table, http=_without_twins(table.http), https=_without_twins(table.https), quic=quic)


def has_ipv6() -> bool:
    """Whether this machine can listen by IPv6 at all."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def bind(table: DataPlaneTable) -> dict[str, socket.socket]:
    """A listening socket for each address: all, or none.

    Raises Fail: `platform.port-taken`, `platform.port-forbidden`, `platform.bad-settings`.
    """
    bound: dict[str, socket.socket] = {}
    for address, setting in _settings(table):
        try:
            bound[address] = _bind(address)
        except OSError as error:
            # Before the holder is looked for: a twin's port would name us.
            for opened in bound.values():
                opened.close()
            raise Fail(_refused(address, setting, error)) from error
    return bound


def check(table: DataPlaneTable, held: tuple[str, ...]) -> None:
    """Raise unless each address is free or held by our own Caddy (`held`). Raises Fail as `bind`."""
    ours = {_kind(address) for address in held}
    for address, setting in _settings(table):
        if _kind(address) not in ours:
            try:
                _bind(address).close()
            except OSError as error:
                raise Fail(_refused(address, setting, error)) from error


def taken(address: str, setting: str, said: Evidence) -> Failure:
    """That address belongs to somebody, who is named where this user may see them."""
    port, udp = split_address(address.removeprefix(UDP))[1], address.startswith(UDP)
    try:
        kind, waits = ("udp", psutil.CONN_NONE) if udp else ("tcp", psutil.CONN_LISTEN)
        listeners = (c for c in psutil.net_connections(kind) if c.status == waits)
        holders = {c.pid for c in listeners if c.laddr and c.laddr.port == port}
        names = [f"{psutil.Process(pid).name()} (process {pid})" for pid in sorted(filter(None, holders))]
    except psutil.Error:
        names = []
    holder = " and ".join(names) or "a program this user may not see"
    remedy = f"Stop that program, or choose another address with --{setting}."
    remedy += " Without `service.http3` no UDP port is needed." if udp else ""
    return failures.PORT_TAKEN(f"{holder} listens on {address}, where service.{setting} should", said, remedy=remedy)


def named(words: str, table: DataPlaneTable) -> tuple[str, str]:
    """The address that Caddy's words are about, and its setting."""
    ours = [(one, "http") for one in table.http] + [(one, "https") for one in table.https]
    return next((one for one in ours if f"{one[0]}: " in words), ours[0])


def _settings(table: DataPlaneTable) -> Iterator[tuple[str, str]]:
    """Each address with its setting."""
    if twice := set(table.http) & set(table.https):
        seen = Evidence("service.http and service.https", " ".join(sorted(twice)))
        raise Fail(failures.BAD_SETTINGS("one address cannot be for http and for https", seen))
    for setting, addresses in (("http", table.http), ("https", table.https), ("https", table.quic)):
        yield from ((address, setting) for address in dict.fromkeys(addresses))


def _bind(address: str) -> socket.socket:
    """Of one family, so that `[::]:80` leaves `0.0.0.0:80` to its twin; `:80` is both. Raises OSError."""
    udp, (host, port) = address.startswith(UDP), split_address(address.removeprefix(UDP))
    both = not host and has_ipv6()
    family = socket.AF_INET6 if both or ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        if udp:  # which two could share by SO_REUSEADDR
            bound.bind((host, port))
            return bound
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted with its first bytes: Caddy closes one that had sent none when a reload began (golang/go#75591).
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFERRED)
        bound.bind((host, port))
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _refused(address: str, setting: str, error: OSError) -> Failure:
    said = Evidence(f"bind {address}", error.strerror or str(error))
    if error.errno == errno.EADDRINUSE:
        return taken(address, setting, said)
    if error.errno == errno.EACCES:
        return _forbidden(address, setting, said)
    return failures.BAD_SETTINGS(f"This machine cannot listen on service.{setting} = {address}", said)


def _forbidden(address: str, setting: str, said: Evidence) -> Failure:
    port = split_address(address.removeprefix(UDP))[1]
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


def _kind(address: str) -> tuple[bool, bool, int]:
    host, port = split_address(address.removeprefix(UDP))
    return address.startswith(UDP), ":" in host, port
