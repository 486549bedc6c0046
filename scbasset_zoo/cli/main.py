"""The command line: `scbasset-zoo COMMAND`."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from scbasset_zoo.errors import ScbassetZooError
from scbasset_zoo.version import __version__

# Modules of this folder; the underscore of a name that Python keeps for itself is not part of the command.
COMMANDS = (
    "simulate",
    "prepare",
    "train",
    "export",
    "import_",
    "predict",
    "run",
    "verify",
    "seal",
    "info",
    "list_",
    "search",
    "pull",
    "index",
    "publish",
    "plugins",
    "kipoi",
)


class _Commands(TyperGroup):
    """Our commands, then those of plugins; modules and plugins are loaded only for the command asked for, or the overview."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*map(_name, COMMANDS), *sorted(_of_plugins())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        module = next((module for module in COMMANDS if _name(module) == cmd_name), None)
        return _own(module) if module else _of_plugins().get(cmd_name)


def own_names() -> set[str]:
    """Names of the commands that come with the project."""
    return set(map(_name, COMMANDS))


def _name(module: str) -> str:
    return module.rstrip("_")


def _own(module: str) -> Any:
    loaded = importlib.import_module(f"scbasset_zoo.cli.{module}")
    group = getattr(loaded, "app", None)
    if group is None:
        group = typer.Typer(add_completion=False)
        group.command()(getattr(loaded, module))
    command = typer.main.get_command(group)
    command.name = _name(module)
    return command


def _of_plugins() -> dict[str, Any]:
    from scbasset_zoo import plugin_manager

    return plugin_manager.commands(taken=own_names())


app = typer.Typer(
    cls=_Commands,
    name="scbasset-zoo",
    help="Train scBasset on single-cell ATAC-seq, share it as one ONNX file and a card, and use it anywhere.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


def main() -> None:
    """Run the command line; errors that the user can mend are one message, without a traceback."""
    try:
        app()
    except (ScbassetZooError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
