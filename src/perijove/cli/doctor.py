"""`perijove doctor …`: what is wrong, where was it seen, what puts it right? Exit: 0 well, 1 findings, 2 unseen."""

import typer

app = typer.Typer(no_args_is_help=True, help="Say what is wrong, where it was seen, and what puts it right.")


@app.callback()
def doctor() -> None:
    """Each command examines one thing; nothing is changed without --fix."""
