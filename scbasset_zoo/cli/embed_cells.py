"""`scbasset-zoo embed-cells`: embed new cells with a fitted model, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scbasset_zoo.cli.options import DeviceOption, PrecisionOption, Threads, from_model
from scbasset_zoo.cli.output import answer
from scbasset_zoo.new_cells.embed_options import EmbedCellsOptions


@from_model(EmbedCellsOptions)
def embed_cells(
    model: Annotated[str, typer.Argument(help="Name, folder or URL of a model.")],
    matrix: Annotated[
        list[Path],
        typer.Argument(help="Cells x peaks of the new cells, as prepare takes them; any peaks. Several with --samples."),
    ],
    genome: Annotated[Path, typer.Option(help="Genome of the model's assembly: FASTA, .2bit, or a name such as hg38.")],
    out: Annotated[Path, typer.Option(help="File to write, .h5ad or .zarr.")],
    cells_table: Annotated[
        Path | None, typer.Option(help="Columns for the new cells, by barcode: .csv, .tsv, .parquet, or an .h5ad's .obs.")
    ] = None,
    training_matrix: Annotated[
        Path | None,
        typer.Option(help="The matrix that the model was trained on: says how far its own cells land from their place."),
    ] = None,
    extend: Annotated[
        Path | None, typer.Option(help="Folder of a new package to write, whose head has the model's cells and the new ones.")
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="The new package has the new cells only.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Folder for a figure of the new cells beside the model's.")] = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
    threads: Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
    **options: Any,
) -> None:
    """Embed new cells in the space of a model's cells, and give them the labels of their nearest cells."""
    import scbasset_zoo as sz
    from scbasset_zoo.files import check_destination
    from scbasset_zoo.new_cells.summary import summary

    check_destination(out, overwrite=overwrite, inputs=[model, *matrix, genome])
    options |= {"cells_table": cells_table, "training_matrix": training_matrix, "overwrite": overwrite}
    options |= {"extend": extend, "alone": alone, "plot": plot}
    result = sz.embed_cells(sz.open_model(model, device, precision=precision), matrix, genome=genome, out=out, **options)
    answer(f"{out}: {summary(result)}")
    if plot is not None:
        answer(f"{plot}: figure")
    if extend is not None:
        card = sz.open_model(str(extend), "cpu").card
        answer(f"{extend}: {card.id} {card.version} with {card.cells.n_cells:,} cells")
