"""`scbasset-zoo seal`: make a package complete again after its card was edited."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scbasset_zoo.cli.output import answer


def seal(model: Annotated[Path, typer.Argument(help="Folder of a model package whose card.yaml was edited.")]) -> None:
    """Check an edited card, then renew README.md, hashes and digest. If anything is wrong, list it and change nothing."""
    from scbasset_zoo.package import seal_package

    card = seal_package(model).card
    answer(f"{model}: sealed, {card.id} {card.version}")
