"""`scbasset-zoo prepare`: make a prepared peak set from cells x peaks and a genome."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scbasset_zoo.cli.options import earlier_names, from_model
from scbasset_zoo.cli.output import answer
from scbasset_zoo.errors import InputError
from scbasset_zoo.training.prepare_options import PrepareOptions


@earlier_names({"fasta": "genome"})
@from_model(PrepareOptions)
def prepare(
    matrix: Annotated[
        list[Path],
        typer.Argument(
            metavar="matrix",
            help="Cells x peaks: .h5ad, .h5mu, .zarr, 10x .h5 (its peaks, if it is multiome), or a 10x folder with matrix.mtx. "
            "Several with --samples.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    genome: Annotated[
        Path | None, typer.Option(help="The genome: FASTA, .2bit, or a name such as hg38 to download it once. [required]")
    ] = None,
    assembly: Annotated[
        str | None,
        typer.Option(
            help="Name of the assembly, such as hg19. Chromosome lengths of common assemblies are checked. Not needed for a genome "
            "that is given by its name, or recognised by these lengths."
        ),
    ] = None,
    cells_table: Annotated[
        Path | None,
        typer.Option(help="Columns for the cells, by barcode: .csv, .tsv, .txt (plain or .gz), .parquet, or an .h5ad's .obs."),
    ] = None,
    rna_out: Annotated[
        Path | None, typer.Option(help="An .h5ad to write: counts of the genes in the kept cells, from a multiome matrix.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier prepared peak set.")] = False,
    **options: Any,
) -> None:
    """Prepare peaks for training: filter cells and peaks, cut windows out of the genome, split."""
    import scbasset_zoo as sz

    if genome is None:
        raise InputError("--genome must be given: a FASTA or .2bit file, or the name of an assembly such as hg38.")
    options |= {"cells_table": cells_table, "rna_out": rna_out}
    prepared = sz.prepare(matrix, genome=genome, assembly=assembly, out=out, overwrite=overwrite, **options)
    answer(prepared.summary())
    if rna_out is not None:
        answer(f"\ngenes of the same cells in {rna_out}")
    answer(f"\nprepared in {out}; next: scbasset-zoo train {out} --out RUN")
