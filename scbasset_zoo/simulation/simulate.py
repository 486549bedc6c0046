"""Simulate a single-cell ATAC-seq experiment with a known answer: a genome with planted motifs, cells of a lineage, open peaks.

Peak p is open in cell c with probability sigmoid(intercept + base[p] + log depth[c] + activity[c] @ strength[p]).
`activity` says how much each transcription factor (TF) opens peaks in the cell, in logits. `strength` says how well the motif
instances that were planted in the peak bind it. The answer is written beside the data.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from scbasset_zoo.files import destination, new_folder
from scbasset_zoo.options import checked_options, declares_options
from scbasset_zoo.simulation.accessibility import evenly_spaced, expected_auroc, solve_intercept, true_logits
from scbasset_zoo.simulation.background import BACKGROUND, BACKGROUND_NAME, read_background
from scbasset_zoo.simulation.cells import SimulatedCells, draw_cells
from scbasset_zoo.simulation.experiment import ASSEMBLY, FILES, Simulation
from scbasset_zoo.simulation.genome import SimulatedPeaks, write_genome
from scbasset_zoo.simulation.lineage import CONSENSUS
from scbasset_zoo.simulation.matrix import write_matrix
from scbasset_zoo.simulation.motifs import meme_text, motif_pwm
from scbasset_zoo.simulation.options import SimulateKeywords, SimulateOptions
from scbasset_zoo.version import __version__

BASE_SPREAD = 0.5  # standard deviation, in logits, of the accessibility of a peak that its sequence does not explain


@declares_options(SimulateOptions)
def simulate(
    out: str | os.PathLike[str], *, overwrite: bool = False, quiet: bool = False, **options: Unpack[SimulateKeywords]
) -> Simulation:
    """Simulate cells x peaks and a genome that explains them, and write both with the true parameters.

    Memory is bounded: cells are drawn and written in chunks.

    Parameters
    ----------
    out : path
        Folder to write: matrix.h5ad, genome.fa (with .fai), motifs.meme, truth.h5ad, strengths.parquet,
        motif_sites.parquet, simulation.json and README.md.
    overwrite : bool
        Replace an earlier simulation in `out`.
    quiet : bool
        Show no progress.
    **options
        See :class:`scbasset_zoo.simulation.options.SimulateOptions`.

    Returns
    -------
    Simulation

    Raises
    ------
    InputError
        An option is out of range, the FASTA has no usable sequence, or `out` exists.
    """
    checked = checked_options("simulate", SimulateOptions, options)
    with destination(out, overwrite=overwrite, replaceable=files_of_simulation, inputs=[checked.genome]):
        background = read_background(checked.genome or BACKGROUND, checked.n_peaks)
        motifs = {tf: motif_pwm(consensus) for tf, consensus in CONSENSUS.items()}
        cells = draw_cells(checked.n_cells, checked.n_types, checked.n_batches, np.random.default_rng([checked.seed, 0]))
        with new_folder(out, overwrite=overwrite) as folder:
            rng = np.random.default_rng([checked.seed, 1])
            peaks = write_genome(folder / "genome.fa", background, motifs, checked.n_peaks, checked.peak_width, rng, quiet)
            peaks = _with_effects(peaks, checked)
            intercept = solve_intercept(cells.activities, cells.depth, peaks.strengths, peaks.base, checked.density)
            rng = np.random.default_rng([checked.seed, 3])
            n_open = write_matrix(folder / "matrix.h5ad", cells, peaks, intercept, rng, quiet)
            _write_truth(folder, cells, peaks, motifs)
            outcome = {
                "density": n_open / (checked.n_cells * checked.n_peaks),
                "intercept": intercept,
                **_best_aurocs(cells, peaks, intercept),
            }
            _write_summary(folder, checked, outcome)
    return Simulation(Path(out))


def files_of_simulation(folder: Path) -> tuple[str, ...] | None:
    """Return the names of the files of a simulation, or None if a folder is none."""
    try:
        parameters = Simulation(folder).parameters
    except (OSError, ValueError):
        return None
    return FILES if isinstance(parameters, dict) and {"scbasset_zoo", "intercept", "options"} <= set(parameters) else None


def _with_effects(peaks: SimulatedPeaks, options: SimulateOptions) -> SimulatedPeaks:
    """Scale the motif strengths by the signal, and draw the part of the accessibility that the sequence does not explain."""
    base = np.random.default_rng([options.seed, 2]).normal(0, BASE_SPREAD, options.n_peaks).astype(np.float32)
    return replace(peaks, var=peaks.var.assign(base_logit=base), strengths=peaks.strengths * np.float32(options.signal))


def _write_truth(folder: Path, cells: SimulatedCells, peaks: SimulatedPeaks, motifs: dict[str, NDArray[np.float64]]) -> None:
    """Write the activities of the TFs, the motif strengths of the peaks, the planted sites and the motifs."""
    tfs = pd.DataFrame({"consensus": CONSENSUS.values(), "active": (cells.activities != 0).any(axis=0)}, index=list(CONSENSUS))
    truth = ad.AnnData(cells.activities, obs=cells.obs, var=tfs, varm={"type_activity": cells.type_activities.T})
    truth.write_h5ad(folder / "truth.h5ad")
    strengths = pd.DataFrame(peaks.strengths, index=peaks.var.index, columns=list(CONSENSUS))
    strengths.to_parquet(folder / "strengths.parquet")
    peaks.sites.to_parquet(folder / "motif_sites.parquet", index=False)
    (folder / "motifs.meme").write_text(meme_text(motifs))


def _best_aurocs(cells: SimulatedCells, peaks: SimulatedPeaks, intercept: float) -> dict[str, float]:
    """Return the mean AUROC per cell of the true probabilities, with and without what the sequence does not explain."""
    cell = evenly_spaced(cells.depth, 200)
    peak = slice(20_000)  # enough for a mean, since peaks are exchangeable
    from_sequence = true_logits(cells.activities[cell], cells.depth[cell], peaks.strengths[peak], np.float32(intercept))
    logits = from_sequence + peaks.base[peak]
    return {
        "best_auroc": expected_auroc(logits, expit(logits)),
        "best_auroc_from_sequence": expected_auroc(from_sequence, expit(logits)),
    }


def _write_summary(folder: Path, options: SimulateOptions, outcome: dict[str, float]) -> None:
    """Write the options and the outcome, for programs (simulation.json) and people (README.md)."""
    background = options.genome.name if options.genome else BACKGROUND_NAME
    summary = {
        "scbasset_zoo": __version__,
        "assembly": ASSEMBLY,
        **outcome,
        "options": {**options.model_dump(exclude={"genome"}), "background": background},
    }
    (folder / "simulation.json").write_text(json.dumps(summary, indent=2) + "\n")
    (folder / "README.md").write_text(_readme(summary))


def _readme(summary: dict[str, Any]) -> str:
    options = summary["options"]
    return f"""# A simulated scATAC-seq experiment

{options["n_cells"]:,} cells of {options["n_types"]} types x {options["n_peaks"]:,} peaks, seed {options["seed"]}, simulated by
scbasset_zoo {summary["scbasset_zoo"]}. These are not measurements: use them to test methods, not to learn biology.

| file | content |
|---|---|
| `matrix.h5ad` | cells x peaks, 0/1 |
| `genome.fa` | the genome, assembly "{summary["assembly"]}", with planted motifs |
| `motifs.meme` | PWMs of all TFs, active and inactive |
| `motif_sites.parquet` | every planted motif instance, 0-based half-open |
| `strengths.parquet` | peaks x TFs: summed strength of the planted instances |
| `truth.h5ad` | cells x TFs: true activities; by type in `.varm["type_activity"]` |
| `simulation.json` | options and outcome |

Peak p is open in cell c with probability
sigmoid(intercept + base_logit[p] + log(depth[c]) + activity[c] @ strength[p]).
A model that predicts these probabilities exactly has a mean AUROC per cell of {summary["best_auroc"]:.3f}.
A model that predicts exactly what the sequence explains has {summary["best_auroc_from_sequence"]:.3f}.
"""
