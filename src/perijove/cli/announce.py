"""What `perijove up` says beneath its address: where others reach it, its certificates, a server in front."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from perijove.cli.client import Client
from perijove.domain.failures import Fail
from perijove.domain.listening import (
    UDP,
    certified_hosts,
    http_listeners,
    https_listeners,
    quic_listeners,
    session_hosts,
)
from perijove.domain.parsing import bracketed, split_address
from perijove.domain.ports import Tell
from perijove.domain.settings import ServiceSettings, Settings
from perijove.nearby import own_addresses


def certificates(client: Client, settings: Settings, say: Tell) -> None:
    """One line a name. A failure is told and harms nothing."""
    if not certified_hosts(settings.service):
        return
    try:
        rows = client.call("GET", "/certificates")
    except Fail as error:
        say(f"{error.failure.message} [{error.failure.kind.code}]")
        return
    for row in rows:
        say(line(row, settings.service))


def on_this_network(service: ServiceSettings) -> Iterator[str]:
    """Where others reach it by http, if it is to be reached by address; the addresses are this machine's."""
    if service.hosts or service.behind:
        return
    for listener in http_listeners(service):
        host, port = split_address(listener)
        if host == "localhost" or (host and ip_address(host).is_loopback):
            continue
        everywhere = not host or ip_address(host).is_unspecified
        for address in own_addresses(ip_address(host).version if host else 4) if everywhere else (host,):
            named = bracketed(address)
            yield f"http://{named}{'' if port == 80 else f':{port}'}{service.base}"


def shared_origin(service: ServiceSettings) -> str:
    """What sessions may do to one another in browsers; `` where each has an origin of its own."""
    if session_hosts(service):
        return ""
    return (
        "Sessions share one origin: a page of one repository can read and use its visitor's other sessions here. "
        "service.session_hosts gives each an origin of its own."
    )


def quic(service: ServiceSettings) -> str:
    """What a firewall must let through for HTTP/3; `` where it is not spoken."""
    ports = dict.fromkeys(split_address(one.removeprefix(UDP))[1] for one in quic_listeners(service))
    if not ports:
        return ""
    return f"HTTP/3 is offered: let UDP port {' and '.join(map(str, ports))} through too, or browsers stay with HTTP/2."


def line(row: dict[str, Any], service: ServiceSettings) -> str:
    """One certificate in one line, with how to see more where it is not there yet."""
    name, status = row["metadata"]["name"], row["status"]
    address = name if service.behind else _url(name, service)
    ready = next((one for one in status["conditions"] if one["type"] == "Ready"), None)
    if ready is None or ready["status"] != "True":
        way = (
            f"waits for its certificate ({status['failure']['kind']})"
            if status["failure"]
            else "certificate on its way"
        )
        return f"{address} {way}: see `perijove describe certificate {name}`"
    secret = status["secret"]
    signed = f"{address} certificate by {secret['signedBy']}, until {secret['notAfter'][:10]}"
    if secret["issuer"] == "local":
        return f"{signed}; `perijove trust` has this machine's browsers believe it"
    return signed


def _url(name: str, service: ServiceSettings) -> str:
    port = split_address(https_listeners(service)[0])[1]
    host = bracketed(name)
    return f"https://{host}{'' if port == 443 else f':{port}'}{service.base}"


def passing_on(service: ServiceSettings, say: Tell) -> None:
    """What the web server in front must pass on, for the usual ones."""
    from perijove.doctor.front import lines as front  # noqa: PLC0415  imported late: few services are behind another

    what = front.front(service, _own_address(service.behind[0]))
    if what.unreachable:
        say(what.unreachable)
    for title, written in front.WRITTEN.items():
        say(f"For {title} in front:\n" + "".join(f"    {one}\n" for one in written(what).splitlines()).rstrip("\n"))


def _own_address(toward: str) -> str:
    """This machine's address on the way to another; nothing is sent."""
    address = toward.partition("/")[0]
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])
