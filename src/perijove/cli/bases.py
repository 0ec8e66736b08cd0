"""`perijove base`: the system that environments stand on, prepared, shown, removed. In: flags."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
import asyncio
from typing import Annotated

import typer

from perijove.cli import printing, service
from perijove.cli.grammar import examples, options
from perijove.cli.places import ConfigOption, StateOption, state_at

app = typer.Typer(
    no_args_is_help=True, help="The Debian of Perijove's own that environments can stand on.",
    epilog=examples("perijove base prepare"),
)  # fmt: skip


@app.command(**options(None, "perijove base prepare", "perijove base prepare --again"))
def prepare(
    again: Annotated[bool, typer.Option("--again", help="Anew, with the packages of today.")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
) -> None:
    """Prepare the base now, so that no launch waits for it."""
    from perijove.wiring import bases  # noqa: PLC0415  imported late: the other commands start without it

    def tell(line: str) -> None:
        printing.err.print(f"  {printing.plain(line)}", style="dim", markup=False)

    settings, _ = service.loader(config, {})()
    base = asyncio.run(bases.prepare(state_at(state), settings, tell, again=again))
    printing.out.print(f"{base.key}: {base.made_from}, Python {base.python}, glibc {base.glibc}", markup=False)


@app.command(**options(None, "perijove base show"))
def show(state: StateOption = None, config: ConfigOption = None) -> None:
    """List the bases that stand, the latest first; the settings mean the one with a star."""
    from perijove.wiring import bases  # noqa: PLC0415  imported late: the other commands start without it

    settings, _ = service.loader(config, {})()
    rows = [
        (
            f"{one.base.key}{'*' if one.chosen else ''}",
            one.base.made_from,
            f"{one.base.packages}",
            one.base.python,
            printing.size(one.size),
            f"{one.environments}",
            printing.age(one.base.made_at),
        )
        for one in asyncio.run(bases.listed(state_at(state), settings))
    ]
    if not rows:
        printing.err.print("No bases.")
        return
    columns = ("KEY", "MADE FROM", "PACKAGES", "PYTHON", "SIZE", "ENVIRONMENTS", "AGE")
    printing.out.print(printing.table(columns, rows))


@app.command(**options(None, "perijove base remove 3f2a"))
def remove(
    key: Annotated[str, typer.Argument(help="As `perijove base show` lists it, or how it begins.", show_default=False)],
    state: StateOption = None,
    config: ConfigOption = None,
) -> None:
    """Remove a base that no environment stands on, by its key or how that begins."""
    from perijove.wiring import bases  # noqa: PLC0415  imported late: the other commands start without it

    settings, _ = service.loader(config, {})()
    asyncio.run(bases.remove(state_at(state), settings, key))
    printing.out.print(f"{key} removed", markup=False)
