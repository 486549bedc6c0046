"""`scbasset-zoo add-gauge`: add to a package what its depth and its canonical embedding need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scbasset_zoo.cli.output import answer
from scbasset_zoo.errors import InputError


def add_gauge(
    model: Annotated[str, typer.Argument(help="Folder of a model package, or the name of a model, which needs --out.")],
    genome: Annotated[Path, typer.Option(help="Genome of the model's assembly: FASTA, .2bit, or a name such as hg38.")],
    peaks: Annotated[Path | None, typer.Option(help="BED file of the training peaks, if the package does not list them.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the new package. Without it, the package is replaced.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a package that is in OUT.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Use a FASTA of another assembly too.")] = False,
) -> None:
    """Add mean and covariance of the peak embeddings to a package that has none. Its predictions do not change."""
    import scbasset_zoo as sz

    package = Path(model)
    if not package.exists():
        if out is None:
            raise InputError(f"There is no folder {model}. For a model of the zoo, give the folder of the new package with --out.")
        package = sz.pull(model).folder
    card = sz.add_gauge(package, genome=genome, peaks=peaks, out=out, overwrite=overwrite, force=force).card
    assert card.gauge is not None
    answer(f"{out or package}: the gauge of {card.id} {card.version} is that of {card.gauge.n_peaks:,} peaks")
