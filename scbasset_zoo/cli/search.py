"""`scbasset-zoo search`: models by words."""

from __future__ import annotations

from typing import Annotated

import typer

from scbasset_zoo.cli.list_ import show


def search(
    words: Annotated[list[str], typer.Argument(help="Words that all must occur, in any letter case.")],
    json: Annotated[bool, typer.Option("--json", help="Print the models as JSON.")] = False,
) -> None:
    """Search ids, descriptions, tags, assemblies and licences."""
    from scbasset_zoo.zoo.models import search_models

    show(search_models(words), json=json)
