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
    from scbasset_zoo.runtime.models import members
    from scbasset_zoo.runtime.output import write_predictions
    from scbasset_zoo.zoo.models import opened

    if (peaks is None) == (sequences is None):
        raise InputError(f"Give either --peaks or --sequences; found {'neither' if peaks is None else 'both'}.")
    if sequences is not None and genome is not None:
        raise InputError("--sequences takes no --genome: the sequences are predicted as they are.")
    if peaks is not None and genome is None:
        raise InputError(
            "--peaks needs the genome of the model's assembly: add --genome, a FASTA or .2bit file or a name such as hg38."
        )
    check_destination(out, overwrite=overwrite, inputs=[model, peaks or sequences, genome])
    if workers is not None or dask is not None or resume:
        if bigwig is not None:
            raise InputError("--bigwig takes neither --workers, --dask nor --resume: tracks are written by one process.")
        from scbasset_zoo.running.spread_prediction import write_spread_prediction
        from scbasset_zoo.spreading.executors import chosen_executor

        inputs: dict[str, Any] = {"peaks": peaks, "genome": genome, "sequences": sequences}
        with chosen_executor(workers, dask) as executor:
            where: dict[str, Any] = {"executor": executor, "resume": resume, "overwrite": overwrite}
            where |= {"device": device, "precision": precision}
            prediction = write_spread_prediction(model, out, **where, **inputs, **options)
        names = f"{prediction.model.card.id} {prediction.model.card.version}"
    else:
        models = opened(model, device, common_cells=common_cells, precision=precision)
        windows = peaks if sequences is None else fasta_windows(sequences, models.sequence_length)
        prediction = write_predictions(models, windows, genome, out, bigwig=bigwig, overwrite=overwrite, **options)
        names = ", ".join(f"{each.card.id} {each.card.version}" for each in members(models))
    output, group_by = prediction.options.output, prediction.options.group_by
    rows = "" if output == "peak_embedding" else f"{prediction.n_rows:,} {'groups' if group_by else 'cells'} x "
    columns = "peaks" if sequences is None else "sequences"
    by = "mean and standard deviation over " if prediction.values_per_entry == 2 else "by "
    answer(f"{out}: {output} of {rows}{prediction.n_peaks:,} {columns}, {by}{names}")
    if bigwig is not None:
        answer(f"{bigwig}: {prediction.n_rows:,} bigWig files")
