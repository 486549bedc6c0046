"""Command-line options that are made from a pydantic model, so that each option is declared once."""

from __future__ import annotations

import copy
import functools
import inspect
import os
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scbasset_zoo.errors import InputError
from scbasset_zoo.name_lists import split_names
from scbasset_zoo.options import with_present_names
from scbasset_zoo.runtime.options import DeviceName, Precision
from scbasset_zoo.wording import option as wording_of

Command = Callable[..., None]
# The list of names that may be in files.
CELLS = "cells"


def number_parser(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    """Return a function that reads a number on the command line, and says in plain words if a text is none."""

    def parse(text: str) -> int | float:
        try:
            return kind(text)
        except ValueError:
            raise typer.BadParameter(f"must be {'a whole number' if kind is int else 'a number'}; found {text!r}.") from None

    return parse


def _set_threads(threads: int | None) -> int | None:
    if threads is not None:
        from scbasset_zoo.runtime.devices import MOST_THREADS, THREADS

        if not 1 <= threads <= MOST_THREADS:
            raise typer.BadParameter(f"must be a whole number from 1 to {MOST_THREADS}; found {threads}.")
        os.environ[THREADS] = str(threads)
    return threads


Threads = Annotated[
    int | None,
    typer.Option(
        parser=number_parser(int),
        metavar="<int>",
        callback=_set_threads,
        expose_value=False,
        help="Threads that compute on the CPU. By default the cores that this process may use; see SCBASSET_ZOO_THREADS.",
    ),
]


DeviceOption = Annotated[
    DeviceName,
    typer.Option(help="auto takes an NVIDIA GPU if one works, and the CPU otherwise. openvino is faster on processors of Intel."),
]
PrecisionOption = Annotated[
    Precision,
    typer.Option(help="What products are rounded to. bfloat16 is faster on openvino, float16 and tf32 on cuda, and less exact."),
]


GivenModels = Annotated[
    list[str],
    typer.Argument(help="Name, folder or URL of a model. Several models of the same cells are combined."),
]
CommonCells = Annotated[
    bool, typer.Option("--common-cells", help="With several models: keep the cells that all have, instead of refusing others.")
]
ResultFile = Annotated[
    Path,
    typer.Option(
        help="File for the result: .h5ad or .zarr, or .nc or .zarr if it has more than two dimensions. Some analyses also write "
        ".parquet or .tsv."
    ),
]
FigureFolder = Annotated[Path | None, typer.Option(help="Folder for the figures, as PNG and PDF.")]
ReportFile = Annotated[Path | None, typer.Option(help="File for an HTML page with figures, tables and provenance.")]
Workers = Annotated[
    int | None,
    typer.Option(parser=number_parser(int), metavar="<int>", help="Processes on this machine that compute the parts of the work."),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Keep finished parts beside OUT until the run is done; go on with those that are there."),
]
Dask = Annotated[
    str | None,
    typer.Option(
        metavar="<address>", help="Dask scheduler whose workers compute the parts of the work; local:N starts N workers here."
    ),
]


def from_model(model: type[BaseModel], *, without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Replace the `**options` of a command by an option for each field of a model.

    Types, defaults and help come from the fields. The command is called with the options that the user gave, and no others. It
    checks their values with the model. Lists of names are read by :func:`names_of`. Earlier names of fields are accepted.

    Parameters
    ----------
    model : pydantic model
    without : collection of str, optional
        Fields for which no option is made, such as those that the command declares itself.
    """
    fields = {name: field for name, field in model.model_fields.items() if name not in without}
    lists = {name for name, field in fields.items() if _command_line_type(field.annotation) == list[str]}

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        parameters = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        parameters += [_parameter(name, field) for name, field in fields.items()]

        @functools.wraps(command)
        def with_given_options(**values: Any) -> None:
            given = {name: value for name, value in values.items() if name not in fields or value is not None}
            for name in given.keys() & lists:
                given[name] = names_of(name, given[name])
            command(**given)

        return earlier_names(getattr(model, "earlier_names", {}))(_with_parameters(with_given_options, parameters))

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
            command(**with_present_names(values, names))

        return _with_parameters(with_earlier_names, [*parameters.values(), *hidden])

    return decorate


def names_of(option: str, texts: Sequence[str]) -> list[str]:
    """Return the names of an option that may be repeated: those between commas, or for cells those of a file, one on each line."""
    from scbasset_zoo.inputs.text_files import read_names

    names: list[str] = []
    for text in texts:
        # os.path.exists also takes a text that is too long for a path.
        names += read_names(text) if option == CELLS and os.path.exists(text) else split_names(text)
    if not names:
        raise InputError(f"{wording_of(option)} is given without a name.")
    return names


def _with_parameters(command: Command, parameters: Sequence[inspect.Parameter]) -> Command:
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _hidden(annotation: Any, name: str) -> Any:
    """Return the annotation of an option under another name, which the help does not show."""
    kind, option = typing.get_args(annotation)
    hidden = copy.copy(option)
    # In an annotation, Typer takes the flag for the default.
    hidden.default, hidden.param_decls, hidden.hidden = "--" + name.replace("_", "-"), (), True
    return Annotated[kind, hidden]


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """Make the parameter of a command from a field. Its default is None, which means that the user did not give it."""
    flag = "--" + name.replace("_", "-")
    kind = _command_line_type(field.annotation)
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        **_parsing(kind),
        help=" ".join(filter(None, [field.description, _of_list(name, kind), _default(field)])),
        show_default=False,
    )
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option])


def _parsing(kind: Any) -> dict[str, Any]:
    """Return how Typer reads a number, and what the help calls the value of an option, where Typer's own ways are not plain."""
    if kind in (int, float):
        return {"parser": number_parser(kind), "metavar": f"<{kind.__name__}>"}
    return {"metavar": "<names>" if kind == list[str] else "<paths>"} if kind in (list[str], list[Path]) else {}


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "[required]"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, bool):
        return f"[default: {str(default).lower()}]"
    return "" if default is None or default in ("", (), []) else f"[default: {default}]"


def _of_list(name: str, kind: Any) -> str:
    if typing.get_origin(kind) is not list:
        return ""
    if kind != list[str]:
        return "Repeat the option for several."
    if name == CELLS:
        return "Separate several by commas, repeat the option, or give a file with one on each line."
    return "Separate several by commas, or repeat the option."


def _command_line_type(annotation: Any) -> Any:
    """Return the type that Typer reads for a field: the first of a union that is not None, and a list for any sequence.

    Members of a list may be objects in Python; on the command line they are texts.
    """
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(part for part in typing.get_args(annotation) if part is not types.NoneType)
    if typing.get_origin(annotation) in (Sequence, tuple, list):
        member = _command_line_type(typing.get_args(annotation)[0])
        return list[str if member is Any else member]  # type: ignore[misc]
    return annotation


Shard = Annotated[
    str | None, typer.Option(metavar="<I/N>", help="Compute shard I of N into OUT, FILE.parts; merge joins the shards.")
]
TrackFolder = Annotated[
    Path | None, typer.Option("--bigwig", help="Folder for a bigWig file of each group or cell, for analyses along the genome.")
]
GenomeBrowser = Annotated[bool, typer.Option("--igv", help="Show the regions in a genome browser in the report; works offline.")]
