"""`scbasset-zoo info`: show the card of a model as a text for people."""

from __future__ import annotations

from typing import Annotated

import typer

from scbasset_zoo.cli.output import answer, answers


def info(model: Annotated[str, typer.Argument(help="Folder or URL of a model package, or name of a model in the zoo.")]) -> None:
    """Show what a model is, what it was fitted to, how well it predicts and how to cite it."""
    from rich.console import Console
    from rich.markdown import Markdown

    from scbasset_zoo.package.readme import describe
    from scbasset_zoo.zoo.models import find_package, model_to_be_made

    unmade = model_to_be_made(model)
    if unmade is not None:
        answer(f"{unmade.id} {unmade.version}: {unmade.description}")
        answer(f"assembly {unmade.assembly or 'not stated'}, licence {unmade.license}, tags {', '.join(unmade.tags) or 'none'}")
        answer(
            f"A recipe makes this model from published weights, which are downloaded then: scbasset-zoo pull {unmade.id}. "
            "Afterwards, info shows its card."
        )
        return
    package = find_package(model)
    Console(file=answers()).print(Markdown(describe(package.card, package.cells()), hyperlinks=False))
