"""`scbasset-zoo search`: list the models that match some words."""

from __future__ import annotations

from typing import Annotated

import typer

from scbasset_zoo.cli.list_ import show


def search(
    words: Annotated[list[str], typer.Argument(help="Words to search for, in any letter case. A model must match all of them.")],
    json: Annotated[bool, typer.Option("--json", help="Print the models as JSON.")] = False,
) -> None:
    """Search the ids, descriptions, tags, assemblies and licences of all models."""
    from scbasset_zoo.zoo.models import search_models

    show(search_models(words), json=json)
