"""`scbasset-zoo prepare`: cells x peaks and a genome to a prepared peak set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def prepare(
    matrix: Annotated[
        Path,
        typer.Argument(help="Cells x peaks: .h5ad, .zarr, 10x .h5 (multiome: its peaks), or 10x folder with matrix.mtx."),
    ],
    fasta: Annotated[Path, typer.Option(help="The genome: FASTA, plain or bgzip.")],
    assembly: Annotated[str, typer.Option(help="Its name, as hg19. Known assemblies are checked by chromosome lengths.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    min_cell_fraction: Annotated[
        float, typer.Option(help="Leave out peaks open in a smaller share of the cells; the paper uses 0.01 and 0.05.")
    ] = 0.01,
    min_peaks_per_cell: Annotated[int, typer.Option(help="Leave out cells with fewer open peaks.")] = 0,
    max_n_fraction: Annotated[float, typer.Option(help="Leave out peaks with a larger share of N in the window.")] = 0.25,
    length: Annotated[int, typer.Option(help="Window around each peak's centre, in bp.")] = 1344,
    flank: Annotated[int, typer.Option(help="Sequence kept on each side of it for shifts in training, in bp.")] = 8,
    split: Annotated[
        str, typer.Option(help="Percentages of peaks for training/validation/test, drawn at random; the paper's by default.")
    ] = "90/5/5",
    test_chroms: Annotated[str, typer.Option(help="Split by chromosome instead: test peaks, as chr8,chr9.")] = "",
    validation_chroms: Annotated[
        str, typer.Option(help="Validation peaks by chromosome; drawn from the other chromosomes when not given.")
    ] = "",
    split_column: Annotated[str | None, typer.Option(help="Split by a column of .var instead: train, validation or test.")] = None,
    sort_peaks: Annotated[bool, typer.Option("--sort-peaks", help="Sort peaks that are not sorted.")] = False,
    seed: Annotated[int, typer.Option(help="Of the random split.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier prepared peak set.")] = False,
) -> None:
    """Prepare peaks for training: filter, cut windows out of the genome, split."""
    import scbasset_zoo as sz

    prepared = sz.prepare(
        matrix,
        fasta=fasta,
        assembly=assembly,
        out=out,
        length=length,
        flank=flank,
        min_cell_fraction=min_cell_fraction,
        min_peaks_per_cell=min_peaks_per_cell,
        max_n_fraction=max_n_fraction,
        split=split,
        test_chroms=test_chroms,
        validation_chroms=validation_chroms,
        split_column=split_column,
        sort_peaks=sort_peaks,
        seed=seed,
        overwrite=overwrite,
    )
    print(prepared.summary())
    print(f"\nprepared in {out}; next: scbasset-zoo train {out} --out RUN")
