"""A single-cell ATAC-seq experiment with a known answer: a genome with planted motifs, cells along a lineage, open peaks.

Peak p is open in cell c with probability sigmoid(intercept + base[p] + log depth[c] + activity[c] @ strength[p]).
`activity` says how much each transcription factor (TF) opens peaks in the cell, in logits, and `strength` how well the
peak's planted motif instances bind it. All of it is written down beside the data.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy.special import expit

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import check_destination, holding, new_folder
from scbasset_zoo.simulation.accessibility import evenly_spaced, expected_auroc, solve_intercept, true_logits
from scbasset_zoo.simulation.background import BACKGROUND, read_background
from scbasset_zoo.simulation.cells import draw_cells
from scbasset_zoo.simulation.experiment import ASSEMBLY, Simulation
from scbasset_zoo.simulation.genome import write_genome
from scbasset_zoo.simulation.lineage import CONSENSUS, LINEAGE
from scbasset_zoo.simulation.matrix import write_matrix
from scbasset_zoo.simulation.motifs import meme_text, motif_pwm
from scbasset_zoo.version import __version__

BASE_SPREAD = 0.5  # of what opens a peak and is not in its sequence, in logits


def simulate(
    out: str | os.PathLike[str],
    *,
    n_cells: int = 400,
    n_peaks: int = 4_000,
    n_types: int = 6,
    n_batches: int = 0,
    density: float = 0.12,
    signal: float = 1.0,
    peak_width: int = 500,
    seed: int = 0,
    fasta: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Simulation:
    """Simulate cells x peaks with a genome that explains them, and write both with the truth behind them.

    Parameters
    ----------
    out : path
        Folder to write: matrix.h5ad, genome.fa (with .fai), motifs.meme, truth.h5ad, strengths.parquet,
        motif_sites.parquet, simulation.json and README.md.
    n_cells, n_peaks : int
        Memory stays bounded: cells are drawn and written in chunks.
    n_types : int
        Cell types of a haematopoietic lineage, stem cells first, in equal shares.
    n_batches : int
        0 for none. Batches differ in depth and in how far one stress factor (HSF1) opens its peaks; cells of each type
        are spread over them at random.
    density : float
        Mean accessibility, over 0 and at most 0.5.
    signal : float
        Scales the effect of every motif.
    peak_width : int
        In bp, at most 1,344.
    seed : int
        The same arguments and seed give the same data.
    fasta : path, optional
        Background sequence, plain or (b)gzip; its N-free stretches are used in order. By default 4.2 Mb of hg19's chr20.
        Where it ends, dinucleotide-shuffled copies of it follow.
    overwrite : bool
    quiet : bool
        Show no progress.

    Raises
    ------
    InputError
        Numbers out of range, a FASTA without usable sequence, or `out` exists.
    """
    check_parameters(n_cells, n_peaks, n_types, n_batches, density, signal, peak_width, seed)
    check_destination(out, overwrite=overwrite, replaceable=holding("simulation.json"), inputs=[fasta])
    background = read_background(Path(fasta) if fasta is not None else BACKGROUND, n_peaks)
    motifs = {tf: motif_pwm(consensus) for tf, consensus in CONSENSUS.items()}
    cells, activities, type_activities = draw_cells(n_cells, n_types, n_batches, np.random.default_rng([seed, 0]))

    with new_folder(out, overwrite=overwrite) as folder:
        peaks, strengths, sites = write_genome(
            folder / "genome.fa", background, motifs, n_peaks, peak_width, np.random.default_rng([seed, 1]), quiet
        )
        strengths *= np.float32(signal)
        peaks["base_logit"] = np.random.default_rng([seed, 2]).normal(0, BASE_SPREAD, n_peaks).astype(np.float32)
        base = peaks["base_logit"].to_numpy()
        depth = cells["depth"].to_numpy()
        intercept = solve_intercept(activities, depth, strengths, base, density)
        n_open = write_matrix(
            folder / "matrix.h5ad", cells, peaks, activities, strengths, intercept, np.random.default_rng([seed, 3]), quiet
        )
        tfs = pd.DataFrame({"consensus": CONSENSUS.values(), "active": (activities != 0).any(axis=0)}, index=list(CONSENSUS))
        truth = ad.AnnData(activities, obs=cells, var=tfs, varm={"type_activity": type_activities.T})
        truth.write_h5ad(folder / "truth.h5ad")
        pd.DataFrame(strengths, index=peaks.index, columns=list(CONSENSUS)).to_parquet(folder / "strengths.parquet")
        sites.to_parquet(folder / "motif_sites.parquet", index=False)
        (folder / "motifs.meme").write_text(meme_text(motifs))
        parameters = {
            "n_cells": n_cells,
            "n_peaks": n_peaks,
            "n_types": n_types,
            "n_batches": n_batches,
            "density": density,
            "signal": signal,
            "peak_width": peak_width,
            "seed": seed,
            "background": Path(fasta).name if fasta is not None else "hg19 chr20:35200001-39400000",
        }
        sample = evenly_spaced(depth, 200)
        some = slice(20_000)  # peaks are exchangeable: enough for a mean
        from_sequence = true_logits(activities[sample], depth[sample], strengths[some], np.float32(intercept))
        logits = from_sequence + base[some]
        outcome = {
            "density": n_open / (n_cells * n_peaks),
            "intercept": intercept,
            "best_auroc": expected_auroc(logits, expit(logits)),
            "best_auroc_from_sequence": expected_auroc(from_sequence, expit(logits)),
        }
        written = {"scbasset_zoo": __version__, "assembly": ASSEMBLY, **outcome, "asked": parameters}
        (folder / "simulation.json").write_text(json.dumps(written, indent=2) + "\n")
        (folder / "README.md").write_text(readme_text(written))
    return Simulation(Path(out))


def check_parameters(
    n_cells: int, n_peaks: int, n_types: int, n_batches: int, density: float, signal: float, peak_width: int, seed: int
) -> None:
    if not 1 <= n_types <= len(LINEAGE):
        raise InputError(f"n_types must lie in 1..{len(LINEAGE)}, the types of the built-in lineage; found {n_types}.")
    if n_cells < n_types:
        raise InputError(f"{n_cells} cells cannot cover {n_types} cell types. Ask for more cells, or fewer types.")
    if n_peaks < 2:
        raise InputError(f"n_peaks must be 2 or more; found {n_peaks}.")
    if n_batches < 0 or n_batches == 1:
        raise InputError(f"n_batches must be 0 (none) or at least 2; found {n_batches}.")
    if n_cells < n_batches:
        raise InputError(f"{n_cells} cells cannot cover {n_batches} batches. Ask for more cells, or fewer batches.")
    if not 0 < density <= 0.5:
        raise InputError(f"density must be over 0 and at most 0.5, the mean accessibility; found {density}.")
    if not (np.isfinite(signal) and signal >= 0):
        raise InputError(f"signal must be 0 or more; found {signal}.")
    if not 1 <= peak_width <= 1_344:
        raise InputError(f"peak_width must lie in 1..1,344 bp, since peaks do not overlap; found {peak_width}.")
    if seed < 0:
        raise InputError(f"seed must be 0 or more; found {seed}.")


def readme_text(written: dict[str, Any]) -> str:
    asked = written["asked"]
    return f"""# A simulated scATAC-seq experiment

{asked["n_cells"]:,} cells of {asked["n_types"]} types x {asked["n_peaks"]:,} peaks, seed {asked["seed"]}, made by
scbasset_zoo {written["scbasset_zoo"]}. None of it was measured: use it to test methods, not to learn biology.

| file | what |
|---|---|
| `matrix.h5ad` | cells x peaks, 0/1 |
| `genome.fa` | the genome, assembly "{written["assembly"]}", motifs planted |
| `motifs.meme` | PWMs of all TFs, active and inactive |
| `motif_sites.parquet` | every planted motif instance, 0-based half-open |
| `strengths.parquet` | peaks x TFs: summed strength of the planted instances |
| `truth.h5ad` | cells x TFs: true activities; by type in `.varm["type_activity"]` |
| `simulation.json` | parameters and outcome |

Peak p is open in cell c with probability
sigmoid(intercept + base_logit[p] + log(depth[c]) + activity[c] @ strength[p]).
A model that knew these probabilities would reach a mean AUROC per cell of {written["best_auroc"]:.3f};
one that knew all that the sequence explains, {written["best_auroc_from_sequence"]:.3f}.
"""
