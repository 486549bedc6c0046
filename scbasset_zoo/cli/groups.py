"""A group with a command for each class that plugins register, made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import typer
from typer.core import TyperGroup


def registered_group(
    registered: Callable[[], Mapping[str, Any]], command: Callable[[Any], Callable[..., None]], help: str
) -> typer.Typer:
    """A group of commands, one for each registered class; plugins are loaded when one is named or listed, and not before.

    Parameters
    ----------
    registered : callable
        Classes by name, each with `Options`, whose fields become options of its command.
    command : callable
        The command of a class: a function that takes them as ``**options``; those that are not given are None.
    help : str
        Of the group.
    """

    class Group(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return sorted(registered())

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            kind = registered().get(cmd_name)
            return kind and _made(kind, command(kind))

    return typer.Typer(cls=Group, help=help, no_args_is_help=True, add_completion=False, callback=lambda: None)


def _made(kind: Any, command: Callable[..., None]) -> Any:
    from scbasset_zoo.cli.options import from_model
    from scbasset_zoo.extend.description import described
    from scbasset_zoo.progress import say

    one = typer.Typer(add_completion=False)
    try:
        one.command(kind.name, help="\n\n".join(described(kind)))(from_model(kind.Options)(command))
        return typer.main.get_command(one)
    except Exception as error:  # noqa: BLE001  whatever an option of a stranger's makes typer raise
        say(f"The options of {kind.name} cannot be put on the command line: {error}")
        return None
