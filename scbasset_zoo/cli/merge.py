"""`scbasset-zoo merge`: joins the shards of an analysis into its result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scbasset_zoo.cli.options import DeviceOption, FigureFolder, GenomeBrowser, ReportFile, ResultFile, Threads, TrackFolder


def merge(
    shards: Annotated[list[Path], typer.Argument(help="The files of all shards, in any order.")],
    out: ResultFile,
    plot: FigureFolder = None,
    report: ReportFile = None,
    bigwig: TrackFolder = None,
    igv: GenomeBrowser = False,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Name, folder or URL of the model, if it is no longer where the shards found it; repeat it for several."),
    ] = None,
    device: DeviceOption = "auto",
    threads: Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT, PLOT, REPORT and BIGWIG if they exist.")] = False,
) -> None:
    """Join the shards that `scbasset-zoo run` or `predict` wrote with --shard into the result of the run.

    It equals that of a run without shards. A shard that is missing, there twice or of other work is named.
    """
    import scbasset_zoo as sz
    from scbasset_zoo.cli.predict import answer_prediction
    from scbasset_zoo.cli.run import answer_result
    from scbasset_zoo.running.results import provenance_in
    from scbasset_zoo.runtime.predictions import Prediction

    written: dict[str, Any] = {"out": out, "plot": plot, "report": report, "bigwig": bigwig, "igv": igv}
    result = sz.merge(shards, **written, model=model or None, device=device, overwrite=overwrite)
    if isinstance(result, Prediction):
        answer_prediction(result, out, bigwig)
    else:
        answer_result(provenance_in(result)["analysis"], result, out, plot, report, bigwig)
