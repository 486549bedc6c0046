"""`scbasset-zoo list`: list the models of all sources."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from scbasset_zoo.cli.output import answer_json, answers
from scbasset_zoo.printable import printable_field
from scbasset_zoo.progress import say

if TYPE_CHECKING:
    from scbasset_zoo.zoo.models import Listing


def list_(
    tag: Annotated[str | None, typer.Option(help="Only models with this tag.")] = None,
    assembly: Annotated[str | None, typer.Option(help="Only models of this assembly, for example hg38.")] = None,
    source: Annotated[str | None, typer.Option(help="Only the source with this name.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the models as JSON.")] = False,
) -> None:
    """List the models of all sources."""
    from scbasset_zoo.zoo.models import list_models

    show(list_models(source=source, tag=tag, assembly=assembly), json=json)


def show(models: Sequence[Listing], *, json: bool) -> None:
    """Print models as a table, or as JSON."""
    if json:
        answer_json([dataclasses.asdict(model) for model in models])
        return
    if not models:
        say("no models")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "assembly", "cells", "on this machine", "source", "description"):
        table.add_column(column, overflow="fold", justify="right" if column == "cells" else "left")
    for model in models:
        cells = "" if model.n_cells is None else f"{model.n_cells:,}"
        on_this_machine = "yes" if model.on_this_machine else "no"
        tags = f" [{', '.join(model.tags)}]" if model.tags else ""
        row = (f"{model.id}@{model.version}", model.assembly or "", cells, on_this_machine, model.source, model.description + tags)
        table.add_row(*(Text(printable_field(cell)) for cell in row))
    # In a pipe each model is one line, however long.
    Console(file=answers(), width=None if answers().isatty() else 10_000).print(table)
