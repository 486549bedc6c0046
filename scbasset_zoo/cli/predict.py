"""`scbasset-zoo predict`: the accessibility of peaks or sequences in every cell of one model or several, written to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scbasset_zoo.cli.options import (
    CommonCells,
    Dask,
    DeviceOption,
    GivenModels,
    PrecisionOption,
    Resume,
    Shard,
    Threads,
    Workers,
    earlier_names,
    from_model,
)
from scbasset_zoo.cli.output import answer
from scbasset_zoo.runtime.options import PredictOptions


@earlier_names({"bed": "peaks", "h5ad": "peaks", "fasta_sequences": "sequences"})
@from_model(PredictOptions)
def predict(
    model: GivenModels,
    out: Annotated[Path, typer.Option(help="File to write: .h5ad, .zarr or .parquet.")],
    peaks: Annotated[Path | None, typer.Option(help="Peaks to predict: BED, or .h5ad or .zarr with peaks in .var.")] = None,
    genome: Annotated[
        Path | None, typer.Option(help="Genome of the model's assembly: FASTA, .2bit, or a name such as hg38. Peaks need it.")
    ] = None,
    sequences: Annotated[
        Path | None, typer.Option(help="FASTA of sequences to predict instead of peaks, each of the model's length.")
    ] = None,
    bigwig: Annotated[
        Path | None, typer.Option(help="Folder for a bigWig file of each group, or of each of at most 200 cells.")
    ] = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
    common_cells: CommonCells = False,
    threads: Threads = None,
    workers: Workers = None,
    dask: Dask = None,
    shard: Shard = None,
    resume: Resume = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT and BIGWIG if they exist.")] = False,
    **options: Any,
) -> None:
    """Predict peaks of a genome, or sequences, in every cell of a model: cells x peaks.

    Several models of the same cells give their mean, with their standard deviation in the layer std.
    """
    from scbasset_zoo.errors import InputError
    from scbasset_zoo.files import check_destination
    from scbasset_zoo.inputs.windows import fasta_windows
    from scbasset_zoo.runtime.output import held_outputs, write_predictions
    from scbasset_zoo.zoo.models import opened

    if (peaks is None) == (sequences is None):
        raise InputError(f"Give either --peaks or --sequences; found {'neither' if peaks is None else 'both'}.")
    if sequences is not None and genome is not None:
        raise InputError("--sequences takes no --genome: the sequences are predicted as they are.")
    if peaks is not None and genome is None:
        raise InputError(
            "--peaks needs the genome of the model's assembly: add --genome, a FASTA or .2bit file or a name such as hg38."
        )
    where: dict[str, Any] = {"device": device, "precision": precision, "common_cells": common_cells, "overwrite": overwrite}
    if workers is None and dask is None and shard is None and not resume:
        with held_outputs(out, bigwig, overwrite=overwrite, inputs=[model, peaks or sequences, genome]):
            models = opened(model, device, common_cells=common_cells, precision=precision)
            windows = peaks if sequences is None else fasta_windows(sequences, models.sequence_length)
            prediction = write_predictions(models, windows, genome, out, bigwig=bigwig, overwrite=overwrite, **options)
        answer_prediction(prediction, out, bigwig)
        return
    from scbasset_zoo.running.shards import run_shard
    from scbasset_zoo.running.spread_prediction import spread_prediction
    from scbasset_zoo.spreading.executors import chosen_executor

    check_destination(out, overwrite=overwrite, inputs=[model, peaks or sequences, genome])
    inputs: dict[str, Any] = {"peaks": peaks, "genome": genome, "sequences": sequences}
    with chosen_executor(workers, dask) as executor:
        where |= {"executor": executor, "resume": resume}
        if shard is None:
            answer_prediction(spread_prediction(model, out, bigwig=bigwig, **where, **inputs, **options), out, bigwig)
            return
        if bigwig is not None:
            raise InputError("--shard takes no --bigwig; scbasset-zoo merge writes the tracks.")
        answer(f"{run_shard('predict', model, shard=shard, out=out, **where, **inputs, **options)}: shard {shard} of predict")


def answer_prediction(prediction: Any, out: Path, bigwig: Path | None) -> None:
    """Print what a prediction wrote."""
    output, group_by = prediction.options.output, prediction.options.group_by
    rows = "" if output == "peak_embedding" else f"{prediction.n_rows:,} {'groups' if group_by else 'cells'} x "
    columns = "peaks" if "chrom" in prediction.var else "sequences"
    by = "mean and standard deviation over " if prediction.values_per_entry == 2 else "by "
    names = ", ".join(f"{each.model.card.id} {each.model.card.version}" for each in prediction.of_models)
    answer(f"{out}: {output} of {rows}{prediction.n_peaks:,} {columns}, {by}{names}")
    if bigwig is not None:
        answer(f"{bigwig}: {prediction.n_rows:,} bigWig files")
