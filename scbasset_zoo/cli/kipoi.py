"""`scbasset-zoo kipoi`: make the zoo a source of the kipoi command, and undo it."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="kipoi", help="Make the zoo a source of the kipoi command, and undo it.", no_args_is_help=True, add_completion=False
)


@app.command()
def register(
    as_default: Annotated[
        bool, typer.Option("--as-default", help="Also where no --source is given, so that `kipoi predict scbasset` works.")
    ] = False,
) -> None:
    """Add the zoo to ~/.kipoi/config.yaml; run it again after installing models elsewhere."""
    from scbasset_zoo.kipoi.config import SOURCE
    from scbasset_zoo.kipoi.config import register as run

    folder = run(as_default=as_default)
    option = "" if as_default else f" --source={SOURCE}"
    typer.echo(f"kipoi's source {SOURCE}{', which is now the default,' if as_default else ''} is {folder}")
    typer.echo("next:")
    typer.echo(f"  kipoi ls scbasset{option}")
    typer.echo(f"  kipoi info scbasset{option}")


@app.command()
def unregister() -> None:
    """Take the zoo out of ~/.kipoi/config.yaml, and put back the default source that was."""
    from scbasset_zoo.kipoi.config import unregister as run

    typer.echo("kipoi's sources are as before" if run() else "the zoo was not one of kipoi's sources")
