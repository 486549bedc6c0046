"""`scbasset-zoo info`: show the card of a model as a text for people."""

from __future__ import annotations

from typing import Annotated

import typer

from scbasset_zoo.cli.output import answers


def info(model: Annotated[str, typer.Argument(help="Folder or URL of a model package, or name of a model in the zoo.")]) -> None:
    """Show what a model is, what it was fitted to, how well it predicts and how to cite it."""
    from rich.console import Console
    from rich.markdown import Markdown

    from scbasset_zoo.package.readme import describe
    from scbasset_zoo.zoo.models import find_package

    package = find_package(model)
    Console(file=answers()).print(Markdown(describe(package.card, package.cells()), hyperlinks=False))
