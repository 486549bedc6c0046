"""Commands and groups whose errors about an unknown name suggest the right one."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from scbasset_zoo.wording import did_you_mean

# What other commands of release 0.1.0 call an option.
OTHER_NAMES = {"--fasta": "--genome", "--bed": "--peaks", "--label": "--group-by"}


class SuggestingCommand(TyperCommand):
    """A command that knows the names that its options have, or had, in other commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # the class of the error is click's own or Typer's copy of it
            name = OTHER_NAMES.get(getattr(error, "option_name", ""))
            if name and any(name in getattr(parameter, "opts", ()) for parameter in self.params):
                error.possibilities = [name]  # type: ignore[attr-defined]
            raise


class SuggestingGroup(TyperGroup):
    """A group of commands that are listed by `list_commands`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:  # the class of the error is click's own or Typer's copy of it
            message = getattr(error, "message", "")
            if args and message.startswith("No such command"):
                error.message = message + did_you_mean(args[0], self.list_commands(ctx))  # type: ignore[attr-defined]
            raise
