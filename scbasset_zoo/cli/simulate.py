"""`scbasset-zoo simulate`: simulate a small experiment with a known answer, to try the other commands on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scbasset_zoo.cli.options import from_model
from scbasset_zoo.cli.output import answer
from scbasset_zoo.simulation.options import SimulateOptions


@from_model(SimulateOptions)
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier simulation in OUT.")] = False,
    **options: Any,
) -> None:
    """Simulate cells x peaks and a genome that explains them, and write both with the true parameters."""
    import scbasset_zoo as sz

    simulation = sz.simulate(out, overwrite=overwrite, **options)
    summary = simulation.parameters
    n_batches = summary["options"]["n_batches"]
    batches = f", {n_batches} batches" if n_batches else ""
    size = "{n_cells:,} cells of {n_types} types{batches} x {n_peaks:,} peaks".format(batches=batches, **summary["options"])
    answer(f"{out}: {size}, {summary['density']:.2%} open")
    best, from_sequence = summary["best_auroc"], summary["best_auroc_from_sequence"]
    answer(f"best possible AUROC per cell: {best:.3f}; from the sequence alone: {from_sequence:.3f}")
    answer("next:")
    answer(f"  scbasset-zoo prepare {simulation.matrix} --genome {simulation.genome} --assembly simulated --out prepared")
    answer("  scbasset-zoo train prepared --out fit")
