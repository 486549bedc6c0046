"""`scbasset-zoo kipoi`: add the zoo to the sources of the kipoi command, or remove it."""

from __future__ import annotations

from typing import Annotated

import typer

from scbasset_zoo.cli.output import answer

app = typer.Typer(
    rich_markup_mode=None,
    name="kipoi",
    help="Add the zoo to the sources of the kipoi command, or remove it.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def register(
    as_default: Annotated[
        bool,
        typer.Option(
            "--as-default", help="Make the zoo the default source, so that `kipoi predict scbasset` works without --source."
        ),
    ] = False,
) -> None:
    """Add the zoo to ~/.kipoi/config.yaml. Run this again when a local source has new models."""
    from scbasset_zoo.kipoi.config import SOURCE
    from scbasset_zoo.kipoi.config import register as run

    folder = run(as_default=as_default)
    option = "" if as_default else f" --source={SOURCE}"
    answer(f"The source {SOURCE}{', now the default,' if as_default else ''} is {folder}")
    answer("Next:")
    answer(f"  kipoi ls scbasset{option}")
    answer(f"  kipoi info scbasset{option}")


@app.command()
def unregister() -> None:
    """Remove the zoo from ~/.kipoi/config.yaml and put back the earlier default source."""
    from scbasset_zoo.kipoi.config import unregister as run

    answer("The zoo is no longer a source of kipoi." if run() else "The zoo was not a source of kipoi.")
