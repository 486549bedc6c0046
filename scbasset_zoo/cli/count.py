"""`scbasset-zoo count`: count fragments in peaks, to make the matrix that `prepare` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scbasset_zoo.cli.options import from_model
from scbasset_zoo.cli.output import answer
from scbasset_zoo.counting.count_options import CountOptions


@from_model(CountOptions)
def count(
    fragments: Annotated[
        list[Path], typer.Argument(help="Fragments as of Cell Ranger (fragments.tsv.gz), a file for each sample; with --samples.")
    ],
    peaks: Annotated[Path, typer.Option(help="BED of the peaks, one set for all samples.")],
    out: Annotated[Path, typer.Option(help="File to write, .h5ad or .zarr.")],
    cells: Annotated[
        list[Path] | None,
        typer.Option(
            help="Barcodes that are cells: one on each line, or singlecell.csv or per_barcode_metrics.csv of Cell Ranger. "
            "Repeat the option for each file of fragments, or give one file with SAMPLE#BARCODE. By default the cells are found "
            "by their number of fragments."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result.")] = False,
    **options: Any,
) -> None:
    """Count the insertions of each cell in each peak, and write cells x peaks with metrics of each cell."""
    import scbasset_zoo as sz
    from scbasset_zoo.counting.count import knee_file
    from scbasset_zoo.counting.summary import summary

    result = sz.count(fragments, peaks=peaks, cells=cells, out=out, overwrite=overwrite, **options)
    answer(f"{out}: {summary(result)}")
    if not cells and knee_file(out).exists():
        answer(f"\n{knee_file(out)}: the ranked barcodes with the threshold of the cells")
    genome = options.get("assembly") or "GENOME"
    answer(f"\nnext: scbasset-zoo prepare {out} --genome {genome} --out PREPARED")
