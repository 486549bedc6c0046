"""`scbasset-zoo predict`: accessibility of peaks or sequences in every cell of a model, streamed to a file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class OutputName(StrEnum):
    """What a model predicts."""

    accessibility = "accessibility"
    logits = "logits"
    peak_embedding = "peak_embedding"


class DeviceName(StrEnum):
    """Where a model runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def predict(
    model: Annotated[str, typer.Argument(help="Folder of a model package, or a name or URL of the zoo.")],
    out: Annotated[Path, typer.Option(help="File to write: .h5ad, .zarr or .parquet.")],
    bed: Annotated[Path | None, typer.Option(help="Peaks as BED.")] = None,
    fasta_sequences: Annotated[Path | None, typer.Option(help="Sequences of the model's length as FASTA.")] = None,
    h5ad: Annotated[Path | None, typer.Option(help="Peaks of the .var of an .h5ad file.")] = None,
    genome: Annotated[
        Path | None, typer.Option(help="FASTA of the model's assembly, plain or bgzip; for --bed and --h5ad.")
    ] = None,
    output: Annotated[OutputName, typer.Option(help="What to write.")] = OutputName.accessibility,
    cells: Annotated[
        str | None, typer.Option(help="Only these cells: a file with a barcode a line, or barcodes with commas.")
    ] = None,
    group_by: Annotated[str | None, typer.Option(help="Mean over the cells of each value of this column of the cells.")] = None,
    average_strands: Annotated[bool, typer.Option("--average-strands", help="Mean of the output over both strands.")] = False,
    batch_effects: Annotated[
        bool, typer.Option("--batch-effects", help="Of a batch-corrected model: with the effects of the cells' batches.")
    ] = False,
    device: Annotated[DeviceName, typer.Option(help="auto takes an NVIDIA GPU where there is one.")] = DeviceName.auto,
    batch_size: Annotated[int | None, typer.Option(help="Sequences run at once; by default 32 on cpu, 256 on cuda.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Predict peaks of a genome, or sequences, in every cell: cells x peaks."""
    from scbasset_zoo.errors import InputError
    from scbasset_zoo.files import check_destination
    from scbasset_zoo.inputs.windows import fasta_windows
    from scbasset_zoo.runtime.output import write_predictions
    from scbasset_zoo.zoo.models import open_model

    given = [name for name, path in (("--bed", bed), ("--fasta-sequences", fasta_sequences), ("--h5ad", h5ad)) if path]
    if len(given) != 1:
        raise InputError(f"Give exactly one of --bed, --fasta-sequences and --h5ad; found {' and '.join(given) or 'none'}.")
    if (genome is None) != (fasta_sequences is not None):
        raise InputError(f"{given[0]} needs --genome FASTA." if genome is None else "--fasta-sequences takes no --genome.")
    check_destination(out, overwrite=overwrite, inputs=[model, bed, fasta_sequences, h5ad, genome])
    barcodes = None if cells is None else _barcodes(cells)
    opened = open_model(model, device.value)
    peaks = fasta_windows(fasta_sequences, opened.sequence_length) if fasta_sequences else bed or h5ad
    assert peaks is not None
    prediction = write_predictions(
        opened,
        peaks,
        genome,
        out,
        overwrite=overwrite,
        output=output.value,
        cells=barcodes,
        group_by=group_by,
        average_strands=average_strands,
        batch_effects=batch_effects,
        batch_size=batch_size,
    )
    rows = f"{prediction.n_rows:,} {'groups' if group_by else 'cells'} x " if output is not OutputName.peak_embedding else ""
    windows = "sequences" if fasta_sequences else "peaks"
    typer.echo(f"{out}: {output.value} of {rows}{prediction.n_peaks:,} {windows}, by {opened.card.id} {opened.card.version}")


def _barcodes(cells: str) -> list[str]:
    listed = Path(cells).read_text(encoding="utf-8").splitlines() if Path(cells).is_file() else cells.split(",")
    return [barcode.strip() for barcode in listed if barcode.strip()]
