"""Command-line options made from a pydantic model, so that options are stated once."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer
from pydantic import BaseModel


def from_model(model: type[BaseModel]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's `**options` by an option for each field of `model`; an option that is not given is None.

    Names, types, defaults and help come from the fields. The values are validated by `model`, not here.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        for name, field in model.model_fields.items():
            flag = "--" + name.replace("_", "-")
            kind = _plain(field.annotation)
            help_text = (field.description or "") + (" Required." if field.is_required() else "")
            if kind is bool:
                option = typer.Option(f"{flag}/--no-{flag[2:]}", help=help_text, show_default=str(field.default).lower())
            else:
                choices = _choices(field.annotation)
                unsaid = field.is_required() or field.default is None
                option = typer.Option(
                    flag, help=help_text, show_default=False if unsaid else str(field.default),
                    metavar="|".join(choices) if choices else None,
                )  # fmt: skip
            own.append(
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option])
            )
        command.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in own}
        return command

    return decorate


def _plain(annotation: Any) -> type:
    """The type that the command line reads for a field: X of `X | None`, str for a choice."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(part for part in typing.get_args(annotation) if part is not type(None))
    return str if typing.get_origin(annotation) is Literal else annotation


def _choices(annotation: Any) -> tuple[str, ...]:
    return typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()
