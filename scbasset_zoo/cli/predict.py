"""`scbasset-zoo predict`: the accessibility of peaks or sequences in every cell of a model, written to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scbasset_zoo.cli.options import Threads, from_model
from scbasset_zoo.cli.output import answer
from scbasset_zoo.runtime.options import DeviceName, PredictOptions


@from_model(PredictOptions, without=("cells",))
def predict(
    model: Annotated[str, typer.Argument(help="Name, folder or URL of a model.")],
    out: Annotated[Path, typer.Option(help="File to write: .h5ad, .zarr or .parquet.")],
    peaks: Annotated[Path | None, typer.Option(help="Peaks to predict: BED, or .h5ad or .zarr with peaks in .var.")] = None,
    genome: Annotated[Path | None, typer.Option(help="FASTA of the model's assembly, plain or bgzip. Peaks need it.")] = None,
    sequences: Annotated[
        Path | None, typer.Option(help="FASTA of sequences to predict instead of peaks, each of the model's length.")
    ] = None,
    cells: Annotated[
        str | None, typer.Option(help="Only these cells: a file with one barcode per line, or barcodes separated by commas.")
    ] = None,
    device: Annotated[DeviceName, typer.Option(help="auto takes an NVIDIA GPU if one works, and the CPU otherwise.")] = "auto",
    threads: Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
    bed: Annotated[Path | None, typer.Option(hidden=True)] = None,
    h5ad: Annotated[Path | None, typer.Option(hidden=True)] = None,
    fasta_sequences: Annotated[Path | None, typer.Option(hidden=True)] = None,
    **options: Any,
) -> None:
    """Predict peaks of a genome, or sequences, in every cell of a model: cells x peaks."""
    from scbasset_zoo.errors import InputError
    from scbasset_zoo.files import check_destination
    from scbasset_zoo.inputs.windows import fasta_windows
    from scbasset_zoo.runtime.output import write_predictions
    from scbasset_zoo.zoo.models import open_model

    # --bed, --h5ad and --fasta-sequences are the names of --peaks and --sequences in version 0.1.
    typed = {"--peaks": peaks, "--bed": bed, "--h5ad": h5ad, "--sequences": sequences, "--fasta-sequences": fasta_sequences}
    given = {name: path for name, path in typed.items() if path is not None}
    if len(given) != 1:
        raise InputError(f"Give either --peaks or --sequences; found {' and '.join(given) or 'neither'}.")
    ((name, source),) = given.items()
    is_fasta = name.endswith("sequences")
    if is_fasta and genome is not None:
        raise InputError(f"{name} takes no --genome: the sequences are predicted as they are.")
    if not is_fasta and genome is None:
        raise InputError(f"{name} needs the FASTA of the model's assembly: add --genome FASTA.")
    check_destination(out, overwrite=overwrite, inputs=[model, source, genome])
    given_options = {option: value for option, value in options.items() if value is not None}
    if cells is not None:
        given_options["cells"] = _barcodes(cells)
    opened = open_model(model, device)
    windows = fasta_windows(source, opened.sequence_length) if is_fasta else source
    prediction = write_predictions(opened, windows, genome, out, overwrite=overwrite, **given_options)
    output, group_by = prediction.options.output, prediction.options.group_by
    rows = "" if output == "peak_embedding" else f"{prediction.n_rows:,} {'groups' if group_by else 'cells'} x "
    columns = "sequences" if is_fasta else "peaks"
    answer(f"{out}: {output} of {rows}{prediction.n_peaks:,} {columns}, by {opened.card.id} {opened.card.version}")


def _barcodes(cells: str) -> list[str]:
    """Return the barcodes in a file, or those between commas."""
    import os

    from scbasset_zoo.inputs.text_files import read_names

    # os.path.exists also takes a text that is too long for a path.
    return read_names(cells) if os.path.exists(cells) else [name.strip() for name in cells.split(",") if name.strip()]
