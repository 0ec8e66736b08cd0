"""`perijove status` and `perijove drain`: how is the service, and does it take launches? Through its admin socket."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
from typing import Annotated, Any

import typer
from rich.text import Text

from perijove.cli import printing
from perijove.cli.places import StateOption, client_at, state_at
from perijove.cli.printing import age, moment
from perijove.domain.parsing import parsed
from perijove.domain.settings import Seconds
from perijove.domain.sizes import size


def status(
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False, state: StateOption = None
) -> None:
    """Say whether the service is up, where, and how many sessions run; the exit status is 1 where it is not well."""
    told = client_at(state).call("GET", "/status")
    if json:
        printing.as_json(told)
    else:
        _print(told, str(state_at(state).root))
    raise typer.Exit(1 if told["pad"] else 0)


def _print(told: dict[str, Any], root: str) -> None:
    mark = ("✗ ", "bold red") if told["pad"] else ("✓ ", "bold green")
    since = f"since {moment(told['since'])} ({age(told['since'])})"
    printing.out.print(Text.assemble(mark, f"Perijove {told['version']} is up at {told['url']} {since}"))
    lines = {"State directory": root}
    if told["pad"]:
        lines["Sandboxes"] = told["pad"]
    else:
        free = told["free"]
        lines["Sessions"] = f"{told['sessions']} ({size(told['memory'])}), {told['ready']} held ready"
        more = "for how many more is not known" if told["room"] is None else f"for {told['room']} more"
        memory = "memory not known" if free["memory"] is None else f"{size(free['memory'])} of memory"
        lines["Room"] = f"{more}: {memory}, {size(free['disk'])} of disk free"
    lines["Launches"] = f"{told['launches']} in progress"
    lines["New launches"] = f"not taken: {told['drained']}" if told["drained"] else "taken"
    for label, words in lines.items():
        printing.out.print(Text(f"  {label:<17} {printing.one_line(words)}"))


def admin(state: StateOption = None) -> None:
    """Print a link that opens the operator's page: once, within ten minutes."""
    printing.out.print(Text(client_at(state).call("POST", "/operator")["url"]), soft_wrap=True)


def drain(
    words: Annotated[
        str | None, typer.Argument(metavar="[WORDS]", help="What visitors are told of it.", show_default=False)
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Take launches again.")] = False,
    state: StateOption = None,
) -> None:
    """Take no new launches, and have all pages say so; sessions and launches under way go on. A restart ends it too."""
    if off and words:
        raise typer.BadParameter("--off tells visitors nothing")
    told = client_at(state).call("POST", "/drain", {"on": not off, "words": words})
    if off:
        printing.out.print("Launches are taken again.")
        return
    printing.out.print(Text(f"No new launches are taken: {told['drained']}. `perijove drain --off` takes them again."))
    if told["launches"]:
        printing.out.print(f"{told['launches']} under way go on; `perijove get launches -w` shows them end.")


def message(
    words: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT]", help="Without it, what is told is shown.", show_default=False),
    ] = None,
    lasts: Annotated[str, typer.Option("--for", help="How long.")] = "1h",
    clear: Annotated[bool, typer.Option("--clear", help="Tell it no more.")] = False,
    state: StateOption = None,
) -> None:
    """Have all pages, those of Lab and Notebook too, tell everybody something for a while, over restarts too."""
    if clear and words:
        raise typer.BadParameter("--clear tells nothing")
    try:
        seconds = parsed(Seconds, lasts)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from error
    client, asked = client_at(state), {"words": words or "", "seconds": seconds}
    told = client.call("POST", "/message", asked) if words or clear else client.call("GET", "/message")
    if not (said := told["message"]):
        printing.out.print("All pages say nothing.")
        return
    printing.out.print(Text(f"All pages say until {moment(said['until'])}: {printing.one_line(said['text'])}"))
