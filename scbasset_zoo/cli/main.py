"""The command line: `scbasset-zoo COMMAND`."""

from __future__ import annotations

import importlib
import io
import signal
import sys
from typing import TYPE_CHECKING, Any

import typer

from scbasset_zoo.cli.output import only_answers, printing_to_stderr
from scbasset_zoo.cli.suggestions import SuggestingCommand, SuggestingGroup
from scbasset_zoo.errors import InputError, ScbassetZooError
from scbasset_zoo.progress import say
from scbasset_zoo.version import __version__
from scbasset_zoo.wording import command_line

if TYPE_CHECKING:
    from scbasset_zoo.plugin_manager import Registry

# Modules of this folder. A module whose command has the name of a Python keyword or built-in ends with an underscore.
COMMANDS = (
    "simulate",
    "genome",
    "merge_peaks",
    "count",
    "prepare",
    "train",
    "export",
    "import_",
    "predict",
    "embed_cells",
    "run",
    "merge",
    "verify",
    "seal",
    "add_gauge",
    "info",
    "list_",
    "search",
    "pull",
    "index",
    "publish",
    "plugins",
    "kipoi",
)


_ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main() -> None:
    """Run the command line. An error that the user can act on is printed as one message, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # A letter that the terminal's encoding lacks is shown as "?".
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    for number in _ENDING_SIGNALS:
        signal.signal(number, _end)
    try:
        app()
    except (ScbassetZooError, OSError) as error:
        say(f"error: {error}")
        sys.exit(1)


def _end(number: int, frame: Any) -> None:
    """End the process so that unfinished files are removed."""
    sys.exit(128 + number)


def own_names() -> set[str]:
    """Return the names of the commands that come with the project."""
    return set(map(_command_name, COMMANDS))


class _Commands(SuggestingGroup):
    """The project's commands, then those of plugins.

    A command's module is imported when the command is called or listed. Plugins are loaded when all commands are listed, or for
    a command that is not the project's own.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        with printing_to_stderr():
            return [*map(_command_name, COMMANDS), *sorted(_plugin_commands().names())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        module = next((module for module in COMMANDS if _command_name(module) == cmd_name), None)
        if module is not None:
            return _own_command(module)
        try:
            with printing_to_stderr():
                return _plugin_commands().get(cmd_name)
        except InputError:
            # Typer says that there is no such command.
            return None


app = typer.Typer(
    cls=_Commands,
    name="scbasset-zoo",
    help="Train scBasset on single-cell ATAC-seq, share it as one ONNX file and a card, and use it anywhere.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    # Plain help: Rich's columns cut names off at 80 letters, and its markup takes brackets and words between colons away.
    rich_markup_mode=None,
)


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _before_command(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    # Until the command ends, messages name options as flags.
    context.with_resource(command_line())


def _command_name(module: str) -> str:
    return module.rstrip("_").replace("_", "-")


def _own_command(module: str) -> Any:
    imported = importlib.import_module(f"scbasset_zoo.cli.{module}")
    group = getattr(imported, "app", None)
    if group is None:
        group = typer.Typer(add_completion=False, rich_markup_mode=None)
        group.command(cls=SuggestingCommand)(getattr(imported, module))
    command = typer.main.get_command(group)
    command.name = _command_name(module)
    return only_answers(command)


def _plugin_commands() -> Registry[Any]:
    from scbasset_zoo import plugin_manager

    return plugin_manager.commands(own_names())


if __name__ == "__main__":
    main()
