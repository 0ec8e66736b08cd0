"""What should the data plane do? In: settings, state directory, our static files. Out: the table. Pure."""

from __future__ import annotations

from pathlib import Path

from perijove.domain.data_plane import DataPlaneTable, ServedCertificate
from perijove.domain.listening import http_listeners, https_listeners, named_session_hosts, redirects, session_hosts
from perijove.domain.settings import Settings
from perijove.domain.state import State


def table(
    settings: Settings,
    state: State,
    assets: Path,
    assets_version: str,
    certificates: tuple[ServedCertificate, ...] = (),
    directories: tuple[str, ...] = (),
) -> DataPlaneTable:
    """The whole of it; no session stands in it, since their sockets are found by name."""
    service = settings.service
    named = (*service.hosts, *named_session_hosts(service))
    return DataPlaneTable(
        http=http_listeners(service),
        https=https_listeners(service),
        certificates=certificates,
        redirects=redirects(service),
        alpn_hosts=tuple(host for host in named if not host.startswith("*.")),
        alpn_directories=directories,
        proxies=service.behind,
        control=state.control_socket,
        sessions=state.session_sockets,
        assets=assets,
        assets_version=assets_version,
        servers=state.tools,
        cors_allow_origin=service.cors_allow_origin,
        hosts=service.hosts,
        session_hosts=session_hosts(service),
    )
