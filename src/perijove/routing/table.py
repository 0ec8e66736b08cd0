"""What should the data plane do? In: settings, state directory, our static files. Out: the table. Pure."""

from __future__ import annotations

from pathlib import Path

from perijove.domain.auth_settings import AuthMethod
from perijove.domain.data_plane import DataPlaneTable, ServedCertificate
from perijove.domain.engine_settings import EngineKind
from perijove.domain.framing import frame_ancestors
from perijove.domain.listening import (
    http_listeners,
    https_listeners,
    named_session_hosts,
    quic_listeners,
    redirects,
    session_hosts,
)
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
    service, by_header = settings.service, settings.auth.method is AuthMethod.HEADER
    named = (*service.hosts, *named_session_hosts(service))
    return DataPlaneTable(
        http=http_listeners(service),
        https=https_listeners(service),
        quic=quic_listeners(service),
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
        base=service.base,
        cors_allow_origin=service.cors_allow_origin,
        frame_ancestors=frame_ancestors(service),
        hosts=service.hosts,
        session_hosts=session_hosts(service),
        grants=None if settings.auth.method is AuthMethod.NONE else state.grants,
        upstreams=state.upstreams if settings.engine.kind is EngineKind.KUBERNETES else None,
        front_says=tuple(filter(None, (settings.auth.header, settings.auth.groups_header))) if by_header else (),
    )
