"""Command-line options that are made from a pydantic model, so that each option is declared once."""

from __future__ import annotations

import functools
import inspect
import os
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scbasset_zoo.errors import InputError
from scbasset_zoo.wording import option as wording_of

Command = Callable[..., None]


def _set_threads(threads: int | None) -> int | None:
    if threads is not None:
        from scbasset_zoo.runtime.devices import THREADS

        os.environ[THREADS] = str(threads)
    return threads


Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        callback=_set_threads,
        expose_value=False,
        help="Threads that compute on the CPU. By default the cores that this process may use; see SCBASSET_ZOO_THREADS.",
    ),
]


def from_model(
    model: type[BaseModel], *, without: Collection[str] = (), hidden_aliases: Mapping[str, str] | None = None
) -> Callable[[Command], Command]:
    """Replace the `**options` of a command by an option for each field of a model.

    Types, defaults and help come from the fields. The command is called with the options that the user gave, and no others. It
    checks their values with the model.

    Parameters
    ----------
    model : pydantic model
    without : collection of str, optional
        Fields for which no option is made, such as those that the command declares itself.
    hidden_aliases : mapping of str to str, optional
        Earlier names of fields that are still accepted and not shown in the help: ``{"fasta": "genome"}``.
    """
    aliases = hidden_aliases or {}
    fields = {name: field for name, field in model.model_fields.items() if name not in without}

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        parameters = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        parameters += [_parameter(name, field) for name, field in fields.items()]
        parameters += [_parameter(alias, fields[name], hidden=True) for alias, name in aliases.items()]

        @functools.wraps(command)
        def with_given_options(**values: Any) -> None:
            for alias, name in aliases.items():
                value = values.pop(alias)
                if value is not None and values[name] is not None:
                    raise InputError(f"{wording_of(alias)} is an earlier name of {wording_of(name)}. Give one of them.")
                values[name] = values[name] if value is None else value
            command(**{name: value for name, value in values.items() if name not in fields or value is not None})

        with_given_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        with_given_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return with_given_options

    return decorate


def _parameter(name: str, field: FieldInfo, *, hidden: bool = False) -> inspect.Parameter:
    """Make the parameter of a command from a field. Its default is None, which means that the user did not give it."""
    flag = "--" + name.replace("_", "-")
    kind = _command_line_type(field.annotation)
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        help=" ".join(filter(None, [field.description, _of_list(kind), _default(field)])),
        show_default=False,
        hidden=hidden,
    )
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "[required]"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, bool):
        return f"[default: {str(default).lower()}]"
    return "" if default is None or default in ("", (), []) else f"[default: {default}]"


def _of_list(kind: Any) -> str:
    return "Repeat the option for several." if typing.get_origin(kind) is list else ""


def _command_line_type(annotation: Any) -> Any:
    """Return the type that Typer reads for a field: the first of a union that is not None, and a list for any sequence."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(part for part in typing.get_args(annotation) if part is not types.NoneType)
    if typing.get_origin(annotation) in (Sequence, tuple):
        return list[typing.get_args(annotation)[0]]  # type: ignore[misc]
    return annotation
