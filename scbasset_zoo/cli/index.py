"""`scbasset-zoo index`: turn a folder of packages into a source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scbasset_zoo.cli.output import answer


def index(folder: Annotated[Path, typer.Argument(help="Folder that contains packages and recipes, at any depth.")]) -> None:
    """Write index.json, which lists the models in a folder and the hash of every file."""
    from scbasset_zoo.zoo.indexing import build_index

    entries = build_index(folder).models
    for entry in entries:
        answer(f"  {entry.name}" + (f" (recipe {entry.recipe.path})" if entry.recipe else ""))
    answer(f"{folder / 'index.json'}: {len(entries):,} model{'s' * (len(entries) != 1)}")
