"""`scbasset-zoo pull`: download a model."""

from __future__ import annotations

from typing import Annotated

import typer

from scbasset_zoo.cli.output import answer


def pull(
    model: Annotated[
        str, typer.Argument(help="Name of a model, for example scbasset/demo or scbasset/demo@0.1.0, or URL of a package.")
    ],
) -> None:
    """Download a model, check its files and print its folder. A model of a local source is checked and not copied."""
    from scbasset_zoo.kipoi.folder import refresh
    from scbasset_zoo.zoo.models import pull as pull_model

    answer(pull_model(model).folder)
    refresh()
