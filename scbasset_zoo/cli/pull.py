"""`scbasset-zoo pull`: have a model on this machine."""

from __future__ import annotations

from typing import Annotated

import typer


def pull(
    model: Annotated[str, typer.Argument(help="Name, as scbasset/demo or scbasset/demo@0.1.0, or URL of a package.")],
) -> None:
    """Download a model into the cache, checked, and print its folder; one of a local source is checked where it lies."""
    from scbasset_zoo.kipoi.folder import refresh
    from scbasset_zoo.zoo.models import pull as pull_model

    typer.echo(pull_model(model).folder)
    refresh()
