"""`perijove up`: settings from their layers, then the service until it is asked to stop."""

from __future__ import annotations

import asyncio
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from perijove.cli import announce, printing
from perijove.cli.client import Client
from perijove.domain import settings_file
from perijove.domain.failures import BAD_SETTINGS, Evidence, Fail
from perijove.domain.settings import Settings
from perijove.domain.settings_layers import Layer, environment_layers, merged, names, unknown
from perijove.domain.state import State
from perijove.log import take_libraries

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
        text = path.read_text("utf-8-sig")  # Windows' editors begin a file with a byte order mark
        tables = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise Fail(BAD_SETTINGS(f"{path} cannot be read", Evidence(str(path), str(why)))) from error
    lines = settings_file.lines(text)
    values: dict[str, Any] = {}
    if "class" in tables:
        values[settings_file.CLASSES] = tables.pop("class")
        lines = {**lines, settings_file.CLASSES: lines.get("class", 1)}
    for table, entries in tables.items():
        if not isinstance(entries, dict):
            seen = Evidence(f"{path}:{lines.get(table, 1)}", f"{table} = …")
            if table in get_type_hints(Settings):
                raise Fail(BAD_SETTINGS(f"{table} is a table: its settings stand below [{table}]", seen))
            raise Fail(unknown(table, names(), seen))
        values |= {f"{table}.{name}": value for name, value in entries.items()}
    return [Layer(str(path), values, lines)]


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
            _tell_up(url, service.settings())
            told = service.settings()
            beside.append(asyncio.get_running_loop().run_in_executor(None, lambda: _up(state, told, when_up)))

        await service.run(lambda line: printing.say(f"  {line}", style="dim"), up)

    take_libraries()
    try:
        asyncio.run(serve())
    except asyncio.CancelledError:
        return False
    return all(one.result() for one in beside if one.done() and not one.cancelled())


def _tell_up(url: str, settings: Settings) -> None:
    """Where it is reached, and what its operator should know of that."""
    printing.say(f"Perijove is up at {url}")
    for address in announce.on_this_network(settings.service):
        printing.say(f"  on this network: {address}, plain http: whoever is on the way can read it")
    if settings.session.isolation == "none":
        warned = "isolation = none: strangers' code runs as you, without a sandbox."
        printing.say(warned, level="warning", style="bold red")
    if sentence := announce.shared_origin(settings.service):
        printing.say(sentence, level="warning", style="yellow")


def _up(state: State, settings: Settings, when_up: Callable[[], bool] | None) -> bool:
    """What is told and done once the service answers; whether that came out well."""
    if settings.service.behind:
        announce.passing_on(settings.service, printing.say)
    announce.certificates(Client(state), settings, printing.say)
    if sentence := announce.quic(settings.service):
        printing.say(sentence)
    return when_up() if when_up is not None else True
