"""`scbasset-zoo seal`: make a package whole again after its card was edited."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def seal(model: Annotated[Path, typer.Argument(help="Folder of a model package whose card.yaml was edited.")]) -> None:
    """Check an edited card, render README.md from it and renew hashes and digest; or list what is wrong and change nothing."""
    from scbasset_zoo.package.sealing import seal_package

    card = seal_package(model).card
    typer.echo(f"{model}: sealed, {card.id} {card.version}")
