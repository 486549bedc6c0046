"""A group of commands, one for each class that plugins register."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from scbasset_zoo.cli.output import only_answers, printing_to_stderr
from scbasset_zoo.cli.suggestions import SuggestingCommand, SuggestingGroup
from scbasset_zoo.errors import InputError

if TYPE_CHECKING:
    from scbasset_zoo.plugin_manager import Registry


def registered_group(
    registered: Callable[[], Registry[Any]], make_command: Callable[[Any], Callable[..., None]], help: str
) -> typer.Typer:
    """Make a group with a command for each registered class. Plugins are loaded when a command is listed or called.

    Parameters
    ----------
    registered : callable
        Returns the registered classes. The fields of a class's `Options` become options of its command.
    make_command : callable
        Returns the command of a class: a function that takes the options which the user gave as ``**options``.
    help : str
        Help of the group.
    """

    class Group(SuggestingGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            with printing_to_stderr():
                return sorted(registered().names())

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            try:
                with printing_to_stderr():
                    kind = registered().get(cmd_name)
            except InputError:
                # Typer says that there is no such command.
                return None
            return _typer_command(kind, make_command(kind))

    return typer.Typer(
        cls=Group, help=help, no_args_is_help=True, add_completion=False, rich_markup_mode=None, callback=lambda: None
    )


def _typer_command(kind: Any, command: Callable[..., None]) -> Any:
    from scbasset_zoo.cli.options import from_model
    from scbasset_zoo.extend.description import described
    from scbasset_zoo.progress import say

    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    try:
        help = "\n\n".join(described(kind))
        app.command(kind.name, cls=SuggestingCommand, help=help)(from_model(kind.Options)(command))
        return only_answers(typer.main.get_command(app))
    except Exception as error:  # Typer raises many kinds of errors on an option of a plugin that it cannot use
        say(f"The options of {kind.name} cannot be put on the command line: {error}")
        return None
