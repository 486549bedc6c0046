"""`scbasset-zoo merge`: joins the shards of an analysis into its result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scbasset_zoo.cli.options import DeviceOption, FigureFolder, ReportFile, ResultFile, Threads


def merge(
    shards: Annotated[list[Path], typer.Argument(help="The files of all shards, in any order.")],
    out: ResultFile,
    plot: FigureFolder = None,
    report: ReportFile = None,
    model: Annotated[
        str | None, typer.Option(help="Name, folder or URL of the model, if it is no longer where the shards found it.")
    ] = None,
    device: DeviceOption = "auto",
    threads: Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT, PLOT and REPORT if they exist.")] = False,
) -> None:
    """Join the shards that `scbasset-zoo run` wrote with --shard into the result of the run.

    It equals that of a run without shards. A shard that is missing, there twice or of other work is named.
    """
    import scbasset_zoo as sz
    from scbasset_zoo.cli.run import answer_result
    from scbasset_zoo.running.results import provenance_in

    result = sz.merge(shards, out=out, plot=plot, report=report, model=model, device=device, overwrite=overwrite)
    answer_result(provenance_in(result)["analysis"], result, out, plot, report)
