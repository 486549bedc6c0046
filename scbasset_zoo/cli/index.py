"""`scbasset-zoo index`: make a folder of packages a source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def index(folder: Annotated[Path, typer.Argument(help="Folder in which packages and recipes lie, at any depth.")]) -> None:
    """Write index.json: the models in a folder, with the hash of every file."""
    from scbasset_zoo.zoo.index import build_index

    entries = build_index(folder).models
    for entry in entries:
        typer.echo(f"  {entry.name}" + (f" (recipe {entry.recipe.path})" if entry.recipe else ""))
    typer.echo(f"{folder / 'index.json'}: {len(entries):,} model{'s' * (len(entries) != 1)}")
