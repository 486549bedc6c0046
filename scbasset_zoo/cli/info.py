"""`scbasset-zoo info`: a model's card, readably."""

from __future__ import annotations

from typing import Annotated

import typer


def info(model: Annotated[str, typer.Argument(help="Folder of a model package, or a name or URL of the zoo.")]) -> None:
    """Show what a model is, what it was fitted to, how well it does and how to cite it."""
    from rich.console import Console
    from rich.markdown import Markdown

    from scbasset_zoo.package.readme import describe
    from scbasset_zoo.zoo.models import find_package

    package = find_package(model)
    Console().print(Markdown(describe(package.card, package.cells()), hyperlinks=False))
