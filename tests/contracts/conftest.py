"""What several tests of ports ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.docker_registry import DockerRegistry, Front, front, running_registry


@pytest.fixture(scope="module")
def docker_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def registry_front(docker_registry: DockerRegistry) -> Iterator[Front]:
    with front(docker_registry.port) as before:
        yield before
