"""What keeps the service from starting is told, and nothing that it had started is left."""

from __future__ import annotations

import socket

import psutil
import pytest

from perijove.domain.state import State
from tests.e2e.service import Service, free_port, until

pytestmark = pytest.mark.e2e


def refused(service: Service) -> str:
    """What a start that fails says."""
    process = service.start()
    try:
        assert process.wait(60) == 1, service.log.read_text()
    finally:
        service.stop()
    return service.log.read_text()


def free(service: Service) -> bool:
    """Whether nobody listens on its port any more."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", service.port)) != 0


def test_settings_of_no_use_are_told_and_no_caddy_is_left(state: State) -> None:
    settings = {
        "SERVICE_HOSTS": "a.example",
        "SERVICE_HTTPS": f"127.0.0.1:{free_port()}",
        "CERTIFICATES_DNS": "rfc2136",
    }
    service = Service(state, settings)
    assert "platform.bad-settings" in refused(service)
    assert free(service)
    assert not state.admin_socket.exists()


def test_a_taken_port_is_told_with_who_has_it(state: State) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        told = refused(Service(state, port=holder.getsockname()[1]))
    assert "platform.port-taken" in told
    assert f"(process {psutil.Process().pid})" in told


def test_a_stop_while_it_starts_leaves_no_caddy(state: State) -> None:
    service = Service(state)
    process = psutil.Process(service.start().pid)
    try:
        caddy = until(lambda: [one for one in process.children() if one.name() == "caddy"])
    finally:
        service.stop()
    _, alive = psutil.wait_procs(caddy, timeout=10)
    assert not alive
    assert free(service)
