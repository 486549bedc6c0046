"""`scbasset-zoo run`: a command for each registered analysis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scbasset_zoo.cli.groups import registered_group
from scbasset_zoo.cli.options import CommonCells, GivenModels, Threads
from scbasset_zoo.cli.output import answer
from scbasset_zoo.runtime.options import DeviceName

if TYPE_CHECKING:
    from scbasset_zoo.extend.analysis import Analysis
    from scbasset_zoo.plugin_manager import Registry


def _analyses() -> Registry[type[Analysis]]:
    from scbasset_zoo.plugin_manager import analyses

    return analyses()


def _make_command(kind: type[Analysis]) -> Callable[..., None]:
    def run(
        model: GivenModels,
        out: Annotated[
            Path, typer.Option(help="File for the result: .h5ad or .zarr, or .nc or .zarr if it has more than two dimensions.")
        ],
        plot: Annotated[Path | None, typer.Option(help="Folder for the figures, as PNG and PDF.")] = None,
        report: Annotated[Path | None, typer.Option(help="File for an HTML page with figures, tables and provenance.")] = None,
        bigwig: Annotated[
            Path | None, typer.Option(help="Folder for a bigWig file of each group or cell, for analyses along the genome.")
        ] = None,
        igv: Annotated[
            bool, typer.Option("--igv", help="Show the regions in a genome browser in the report; works offline.")
        ] = False,
        device: Annotated[DeviceName, typer.Option(help="auto takes an NVIDIA GPU if one works, and the CPU otherwise.")] = "auto",
        common_cells: CommonCells = False,
        threads: Threads = None,
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT, PLOT, REPORT and BIGWIG if they exist.")] = False,
        **options: Any,
    ) -> None:
        import scbasset_zoo as sz

        where: dict[str, Any] = {"device": device, "common_cells": common_cells}
        written: dict[str, Any] = {"out": out, "plot": plot, "report": report, "bigwig": bigwig, "igv": igv}
        result = sz.run(kind.name, model, overwrite=overwrite, **written, **where, **options)
        sizes = result.shape if hasattr(result, "shape") else max(result.data_vars.values(), key=lambda values: values.ndim).shape
        answer(f"{out}: {kind.name}, {' x '.join(f'{n:,}' for n in sizes)}")
        for path in filter(None, (plot, report, bigwig)):
            answer(f"{path}")

    return run


app = registered_group(_analyses, _make_command, help="Run an analysis of a model.")
