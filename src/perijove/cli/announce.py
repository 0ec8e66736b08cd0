"""What `perijove up` says beneath its address: the certificate of each name, and what a server in front passes on."""

from __future__ import annotations

import socket
from typing import Any

from rich.text import Text

from perijove.cli import printing
from perijove.cli.client import Client
from perijove.domain.failures import Fail
from perijove.domain.listening import certified_hosts, https_listeners, session_hosts
from perijove.domain.parsing import split_address
from perijove.domain.settings import ServiceSettings, Settings


def certificates(client: Client, settings: Settings) -> None:
    """One line a name. A failure is told and harms nothing."""
    if not certified_hosts(settings.service):
        return
    try:
        rows = client.call("GET", "/certificates")
    except Fail as error:
        printing.err.print(printing.failure(error.failure))
        return
    for row in rows:
        printing.out.print(Text(f"  {line(row, settings.service)}"))


def shared_origin(service: ServiceSettings) -> str:
    """What sessions may do to one another in browsers; `` where each has an origin of its own."""
    if session_hosts(service):
        return ""
    return (
        "Sessions share one origin: a page of one repository can read and use its visitor's other sessions here. "
        "service.session_hosts gives each an origin of its own."
    )


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
    host = f"[{name}]" if ":" in name else name
    return f"https://{host}{'' if port == 443 else f':{port}'}/"


def passing_on(service: ServiceSettings) -> None:
    """What the web server in front must pass on, for the usual ones."""
    from perijove.doctor.front import lines as front  # noqa: PLC0415  imported late: few services are behind another

    what = front.front(service, _own_address(service.behind[0]))
    if what.unreachable:
        printing.err.print(Text(f"  {what.unreachable}", "bold red"))
    for title, written in front.WRITTEN.items():
        printing.out.print(Text(f"  For {title} in front:", "bold"))
        printing.out.print(Text("".join(f"    {one}\n" for one in written(what).splitlines())), end="")


def _own_address(toward: str) -> str:
    """This machine's address on the way to another; nothing is sent."""
    address = toward.partition("/")[0]
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])
