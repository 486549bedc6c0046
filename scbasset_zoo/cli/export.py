"""`scbasset-zoo export`: make a model package of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scbasset_zoo.cli.options import Threads
from scbasset_zoo.cli.output import answer
from scbasset_zoo.progress import say


def export(
    run: Annotated[Path, typer.Argument(help="Folder made by `scbasset-zoo train`.")],
    out: Annotated[Path, typer.Option(help="Folder for the package.")],
    about: Annotated[
        Path | None,
        typer.Option(help="YAML with card fields that only you know: id, version, description, authors, license, data, ..."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The prepared peak set, if it has moved since training.")] = None,
    threads: Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a package that is in OUT.")] = False,
) -> None:
    """Make a package of a run: model.onnx, card, cells, peaks and test vectors. Evaluates the model on held-out peaks."""
    import scbasset_zoo as sz
    from scbasset_zoo.package.readme import baselines_text, verdict_of

    package = sz.export(run, out=out, about=about, data=data, overwrite=overwrite)
    card = package.card
    answer(f"{card.id} {card.version}: {card.cells.n_cells:,} cells, {card.genome.assembly}")
    for row in card.evaluation:
        without = f"; {baselines_text(row.baselines)}" if row.baselines else ""
        answer(f"  {row.split:10} {row.metric:42} {row.value:7.4f}  (n = {row.n:,}{without})")
    answer(verdict_of(card))
    answer(f"package in {out}; next: scbasset-zoo predict {out} --peaks PEAKS --genome FASTA --out FILE.h5ad")
    if card.license == "NOASSERTION":
        say("Before you share the package, give its authors and its licence with --about FILE.yaml.")
