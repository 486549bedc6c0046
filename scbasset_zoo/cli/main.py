"""The command line: `scbasset-zoo COMMAND`."""

from __future__ import annotations

import importlib
import sys

import typer

from scbasset_zoo.errors import ScbassetZooError

COMMANDS = ("simulate", "prepare", "train", "export", "predict", "verify", "info")

app = typer.Typer(
    name="scbasset-zoo",
    help="Train scBasset on single-cell ATAC-seq, share it as one ONNX file and a card, and use it anywhere.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        import scbasset_zoo

        typer.echo(scbasset_zoo.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


for _command in COMMANDS:
    _module = importlib.import_module(f"scbasset_zoo.cli.{_command}")
    app.command(_command)(getattr(_module, _command))


def main() -> None:
    """Run the command line; errors that the user can mend are one message, without a traceback."""
    try:
        app()
    except (ScbassetZooError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
