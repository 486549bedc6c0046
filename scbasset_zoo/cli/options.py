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
from scbasset_zoo.progress import say
from scbasset_zoo.wording import option as wording_of

Command = Callable[..., None]
CELLS = "cells"
_CELLS_HELP = "Only these cells: barcodes separated by commas, or a file with one barcode on each line."


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


def from_model(model: type[BaseModel], *, without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Replace the `**options` of a command by an option for each field of a model.

    Types, defaults and help come from the fields. The command is called with the options that the user gave, and no others. It
    checks their values with the model. Cells may be given as a file, or several at once: see :func:`barcodes_of`.

    Parameters
    ----------
    model : pydantic model
    without : collection of str, optional
        Fields for which no option is made, such as those that the command declares itself.
    """
    fields = {name: field for name, field in model.model_fields.items() if name not in without}

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        parameters = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        parameters += [_parameter(name, field) for name, field in fields.items()]

        @functools.wraps(command)
        def with_given_options(**values: Any) -> None:
            given = {name: value for name, value in values.items() if name not in fields or value is not None}
            if CELLS in fields and CELLS in given:
                given[CELLS] = barcodes_of(given[CELLS])
            command(**given)

        return _with_parameters(with_given_options, parameters)

    return decorate


def earlier_names(names: Mapping[str, str]) -> Callable[[Command], Command]:
    """Accept earlier names of a command's options, ``{"fasta": "genome"}``. The help does not show them; a line says the new."""

    def decorate(command: Command) -> Command:
        parameters = dict(inspect.signature(command, eval_str=True).parameters)
        hidden = [
            inspect.Parameter(
                earlier, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_hidden(parameters[name].annotation, earlier)
            )
            for earlier, name in names.items()
        ]

        @functools.wraps(command)
        def with_earlier_names(**values: Any) -> None:
            for earlier, name in names.items():
                value = values.pop(earlier)
                if value is None:
                    continue
                if values[name] is not None:
                    raise InputError(f"{wording_of(earlier)} is the earlier name of {wording_of(name)}. Give one of them.")
                say(f"{wording_of(earlier)} is now {wording_of(name)}; the next release will not accept {wording_of(earlier)}.")
                values[name] = value
            command(**values)

        return _with_parameters(with_earlier_names, [*parameters.values(), *hidden])

    return decorate


def barcodes_of(texts: Sequence[str]) -> list[str]:
    """Return the barcodes of an option that may be repeated: those of a file, one on each line, or those between commas."""
    from scbasset_zoo.inputs.text_files import read_names

    barcodes: list[str] = []
    for text in texts:
        # os.path.exists also takes a text that is too long for a path.
        separated = read_names(text) if os.path.exists(text) else [name.strip() for name in text.split(",")]
        barcodes += [name for name in separated if name]
    return barcodes


def _with_parameters(command: Command, parameters: Sequence[inspect.Parameter]) -> Command:
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _hidden(annotation: Any, name: str) -> Any:
    """Return the annotation of an option under another name, which the help does not show."""
    kind = typing.get_args(annotation)[0]
    return Annotated[kind, typer.Option("--" + name.replace("_", "-"), hidden=True)]


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """Make the parameter of a command from a field. Its default is None, which means that the user did not give it."""
    flag = "--" + name.replace("_", "-")
    kind = _command_line_type(field.annotation)
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        help=" ".join(filter(None, [_CELLS_HELP if name == CELLS else field.description, _of_list(kind), _default(field)])),
        show_default=False,
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
        return list[_command_line_type(typing.get_args(annotation)[0])]  # type: ignore[misc]
    return annotation
