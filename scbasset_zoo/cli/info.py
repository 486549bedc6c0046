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
    from scbasset_zoo.zoo.models import Listing, package_or_listing

    package = package_or_listing(model)
    if isinstance(package, Listing):
        answer(f"{package.id} {package.version}: {package.description}")
        answer(f"assembly {package.assembly or 'not stated'}, licence {package.license}, tags {', '.join(package.tags) or 'none'}")
        answer(
            f"A recipe makes this model from published weights, which are downloaded then: scbasset-zoo pull {package.id}. "
            "Afterwards, info shows its card."
        )
        return
    Console(file=answers()).print(Markdown(describe(package.card, package.cells()), hyperlinks=False))
