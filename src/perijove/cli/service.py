"""`perijove up`: settings from their layers, then the service until it is asked to stop."""

from __future__ import annotations

import asyncio
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from perijove.cli import announce, printing
from perijove.cli.client import Client
from perijove.domain.failures import BAD_SETTINGS, Evidence, Fail
from perijove.domain.settings import Layer, Settings, environment_layers, merged
from perijove.domain.state import State

OWN_VARIABLES = ("PERIJOVE_STATE", "PERIJOVE_CONFIG")
"""Not settings: they say where to look for them."""


def default_state() -> Path:
    """`/var/lib/perijove` for root, else `$XDG_STATE_HOME/perijove`."""
    if os.geteuid() == 0:
        return Path("/var/lib/perijove")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "perijove"


def default_config() -> Path:
    """`/etc/perijove/perijove.toml` for root, else `$XDG_CONFIG_HOME/perijove/perijove.toml`.

    systemd tells a unit with `ConfigurationDirectory=perijove`, whoever it runs as, that it is the first.
    """
    if told := os.environ.get("CONFIGURATION_DIRECTORY"):
        return Path(told.partition(":")[0]) / "perijove.toml"
    if os.geteuid() == 0:
        return Path("/etc/perijove/perijove.toml")
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "perijove/perijove.toml"


def loader(config: Path | None, flags: Mapping[str, Any]) -> Callable[[], tuple[Settings, Mapping[str, str]]]:
    """Reads the settings afresh at each call. It raises Fail: `platform.bad-settings`."""

    def load() -> tuple[Settings, Mapping[str, str]]:
        environ = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
        flagged = Layer("flag", {name: value for name, value in flags.items() if value is not None})
        return merged([*_file_layers(config), *environment_layers(environ), flagged])

    return load


def _file_layers(config: Path | None) -> list[Layer]:
    path = config or default_config()
    if config is None and not path.exists():
        return []
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Fail(BAD_SETTINGS(f"{path} cannot be read", Evidence(str(path), str(error)))) from error
    values: dict[str, Any] = {}
    for table, entries in tables.items():
        if not isinstance(entries, dict):
            raise Fail(BAD_SETTINGS(f"there is no setting {table}", Evidence(str(path), f"{table} = …")))
        values |= {f"{table}.{name}": value for name, value in entries.items()}
    return [Layer(str(path), values)]


def run(
    state: State, load: Callable[[], tuple[Settings, Mapping[str, str]]], when_up: Callable[[], bool] | None = None
) -> bool:
    """Run the service until a signal; `when_up` runs beside it in a thread. Whether that, if any, came out well."""
    from perijove import wiring  # noqa: PLC0415  imported late: the other commands start without it

    beside: list[asyncio.Future[bool]] = []

    async def serve() -> None:
        service = wiring.Service(state, load)
        wiring.on_signals(service)

        def up(url: str) -> None:
            printing.out.print(f"Perijove is up at {url}")
            if service.settings().session.isolation == "none":
                printing.err.print("[bold red]isolation = none: strangers' code runs as you, without a sandbox.[/]")
            told = service.settings()
            if sentence := announce.shared_origin(told.service):
                printing.err.print(f"[yellow]{sentence}[/]", highlight=False)
            beside.append(asyncio.get_running_loop().run_in_executor(None, lambda: _up(state, told, when_up)))

        await service.run(lambda line: printing.err.print(f"  {line}", style="dim", markup=False), up)

    try:
        asyncio.run(serve())
    except asyncio.CancelledError:
        return False
    return all(one.result() for one in beside if one.done() and not one.cancelled())


def _up(state: State, settings: Settings, when_up: Callable[[], bool] | None) -> bool:
    """What is told and done once the service answers; whether that came out well."""
    if settings.service.behind:
        announce.passing_on(settings.service)
    announce.certificates(Client(state), settings)
    return when_up() if when_up is not None else True
