"""`perijove image`: Perijove itself as an image, for a cluster. In: flags."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
import asyncio
from pathlib import Path
from typing import Annotated

import typer

from perijove.cli import printing, service
from perijove.cli.grammar import examples, options
from perijove.cli.places import ConfigOption, StateOption, state_at
from perijove.domain.sizes import size

EXAMPLE = "perijove image push registry.example.org/perijove/perijove"
app = typer.Typer(no_args_is_help=True, help="Perijove itself as an image, for a cluster.", epilog=examples(EXAMPLE))


@app.callback()
def _image() -> None:
    """Made without a container engine: of the base and of what Perijove's lock file names."""


@app.command(**options(None, EXAMPLE, f"{EXAMPLE} --credentials ~/.docker/config.json"))
def push(
    to: Annotated[str, typer.Argument(metavar="REPOSITORY", help="registry.example.org/project/name")],
    credentials: Annotated[
        Path | None, typer.Option("--credentials", metavar="FILE", help="As `docker login` writes it.")
    ] = None,
    state: StateOption = None,
    config: ConfigOption = None,
) -> None:
    """Make the image, push what the registry has not, and print its name for `perijove install kubernetes --image`."""
    from perijove.backends.registry.addresses import repository  # noqa: PLC0415  imported late: few need it
    from perijove.wiring import own_image  # noqa: PLC0415  imported late: the other commands start without it

    def tell(line: str) -> None:
        printing.err.print(f"  {printing.plain(line)}", style="dim", markup=False)

    where = repository(to)
    if where is None:
        raise typer.BadParameter("it is written registry.example.org/project/name", param_hint="REPOSITORY")
    settings, _ = service.loader(config, {})()
    done = asyncio.run(own_image.push(state_at(state), settings, where, credentials, tell))
    tell(f"{done.moved} of {done.layers} layers moved, {size(done.size)}")
    typer.echo(done.image)
