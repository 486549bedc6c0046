"""`scbasset-zoo run`: a command for each registered analysis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scbasset_zoo.cli.groups import registered_group
from scbasset_zoo.cli.options import (
    CommonCells,
    Dask,
    DeviceOption,
    FigureFolder,
    GenomeBrowser,
    GivenModels,
    PrecisionOption,
    ReportFile,
    ResultFile,
    Resume,
    Shard,
    Threads,
    TrackFolder,
    Workers,
)
from scbasset_zoo.cli.output import answer

if TYPE_CHECKING:
    from scbasset_zoo.extend.analysis import Analysis, Result
    from scbasset_zoo.plugin_manager import Registry


def _analyses() -> Registry[type[Analysis]]:
    from scbasset_zoo.plugin_manager import analyses

    return analyses()


def _make_command(kind: type[Analysis]) -> Callable[..., None]:
    def run(
        model: GivenModels,
        out: ResultFile,
        plot: FigureFolder = None,
        report: ReportFile = None,
        bigwig: TrackFolder = None,
        igv: GenomeBrowser = False,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "float32",
        common_cells: CommonCells = False,
        threads: Threads = None,
        workers: Workers = None,
        dask: Dask = None,
        shard: Shard = None,
        resume: Resume = False,
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT, PLOT, REPORT and BIGWIG if they exist.")] = False,
        **options: Any,
    ) -> None:
        import scbasset_zoo as sz
        from scbasset_zoo.errors import InputError
        from scbasset_zoo.spreading.executors import chosen_executor

        with chosen_executor(workers, dask) as executor:
            where: dict[str, Any] = {"device": device, "precision": precision, "executor": executor, "resume": resume}
            where |= {"common_cells": common_cells, "overwrite": overwrite}
            if shard is not None:
                if plot is not None or report is not None or bigwig is not None or igv:
                    raise InputError("--shard takes no --plot, --report, --bigwig or --igv; scbasset-zoo merge draws.")
                answer(f"{sz.run_shard(kind.name, model, shard=shard, out=out, **where, **options)}: shard {shard} of {kind.name}")
                return
            written: dict[str, Any] = {"out": out, "plot": plot, "report": report, "bigwig": bigwig, "igv": igv}
            result = sz.run(kind.name, model, **written, **where, **options)
        answer_result(kind.name, result, out, plot, report, bigwig)

    return run


def answer_result(name: str, result: Result, out: Path, *others: Path | None) -> None:
    """Print what a run wrote."""
    answer(f"{out}: {name}, {_size(result, out)}")
    for path in filter(None, others):
        answer(f"{path}")


def _size(result: Result, out: Path) -> str:
    """Return the size of what is in the file. Of a table, `result` has only the rows that stand out."""
    from scbasset_zoo.extend.analysis import TABLE_SUFFIXES

    if out.suffix in TABLE_SUFFIXES:
        return f"{_n_rows(out):,} rows"
    sizes = result.shape if hasattr(result, "shape") else max(result.data_vars.values(), key=lambda values: values.ndim).shape
    return " x ".join(f"{n:,}" for n in sizes)


def _n_rows(table: Path) -> int:
    """Return the number of rows of a .parquet, or of a .tsv: its lines without those after # and the header."""
    if table.suffix == ".parquet":
        import pyarrow.parquet as pq

        return int(pq.read_metadata(table).num_rows)
    with table.open("rb") as lines:
        return sum(not line.startswith(b"#") for line in lines) - 1


app = registered_group(_analyses, _make_command, help="Run an analysis of a model.")
