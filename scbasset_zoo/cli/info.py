"""`scbasset-zoo info`: a model's card, readably."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def info(model: Annotated[Path, typer.Argument(help="Folder of a model package.")]) -> None:
    """Show what a model is, what it was fitted to, how well it does and how to cite it."""
    from rich.console import Console
    from rich.markdown import Markdown

    from scbasset_zoo.package import Package
    from scbasset_zoo.readme import render

    Console().print(Markdown(render(Package.open(model).card), hyperlinks=False))
