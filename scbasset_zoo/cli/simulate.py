"""`scbasset-zoo simulate`: a small experiment with a known answer, to try everything else on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    n_cells: Annotated[int, typer.Option(help="Number of cells.")] = 400,
    n_peaks: Annotated[int, typer.Option(help="Number of peaks.")] = 4_000,
    n_types: Annotated[int, typer.Option(help="Number of cell types, from stem cells down the lineage.")] = 6,
    n_batches: Annotated[int, typer.Option(help="Number of batches; 0 for none.")] = 0,
    density: Annotated[float, typer.Option(help="Mean accessibility, over 0 and at most 0.5.")] = 0.12,
    signal: Annotated[float, typer.Option(help="Scales the effect of every motif.")] = 1.0,
    peak_width: Annotated[int, typer.Option(help="Width of each peak, in bp.")] = 500,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data.")] = 0,
    fasta: Annotated[Path | None, typer.Option(help="Background sequence; by default 4.2 Mb of hg19's chr20.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Simulate cells x peaks and a genome that explains them, with the truth behind them."""
    from scbasset_zoo.simulation.simulate import simulate as run

    simulation = run(
        out,
        n_cells=n_cells,
        n_peaks=n_peaks,
        n_types=n_types,
        n_batches=n_batches,
        density=density,
        signal=signal,
        peak_width=peak_width,
        seed=seed,
        fasta=fasta,
        overwrite=overwrite,
    )
    outcome = simulation.parameters
    batches = f", {n_batches} batches" if n_batches else ""
    typer.echo(f"{out}: {n_cells:,} cells of {n_types} types{batches} x {n_peaks:,} peaks, {outcome['density']:.2%} open")
    best, from_sequence = outcome["best_auroc"], outcome["best_auroc_from_sequence"]
    typer.echo(f"best possible AUROC per cell: {best:.3f}; knowing only the sequence: {from_sequence:.3f}")
    typer.echo("next:")
    typer.echo(f"  scbasset-zoo prepare {simulation.matrix} --fasta {simulation.fasta} --assembly simulated --out prepared")
    typer.echo("  scbasset-zoo train prepared --out fit")
