"""`scbasset-zoo merge-peaks`: make one set of peaks of one width, without overlaps, from called peaks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scbasset_zoo.cli.options import from_model
from scbasset_zoo.cli.output import answer
from scbasset_zoo.counting.merge_peaks_options import MergePeaksOptions


@from_model(MergePeaksOptions)
def merge_peaks(
    peaks: Annotated[
        list[Path],
        typer.Argument(help="Called peaks, a file for each sample or cluster: narrowPeak, broadPeak or BED, plain or gzip."),
    ],
    out: Annotated[Path, typer.Option(help="BED to write; gzip if its name ends in .gz.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
    **options: Any,
) -> None:
    """Make one set of peaks, of one width and without overlaps, from called peaks of several samples."""
    import scbasset_zoo as sz

    merged = sz.merge_peaks(peaks, out=out, overwrite=overwrite, **options)
    answer(f"{out}: {merged.summary()}")
