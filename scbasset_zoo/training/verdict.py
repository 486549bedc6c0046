"""Says in words what a model learnt: sequence, only the depth of the cells, or nothing. Each conclusion has a permutation test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.training.held_out import HeldOut, evaluate

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.01
# A difference of AUROC that is worth a sentence.
NOTABLE = 0.01
N_PERMUTATIONS = 999
# A test takes a table of peaks x peaks, or cells x cells.
MAX_TESTED = 2_000
CELLS_OF_SAME_DEPTH = 5


def judge(held_out: HeldOut, rows: list[dict[str, Any]] | None = None) -> dict[str, Any] | None:
    """Say what a model learnt, by its AUROC on held-out peaks.

    It learnt **sequence** if it ranks the peaks of a cell better than chance: better than with its peaks permuted, which leaves
    the cells as they are. Otherwise it is no better than **depth** if it ranks the cells of a peak better than chance, which the
    number of open peaks of each cell does as well. Otherwise it learnt **nothing**. The level of each test is 0.01.

    Parameters
    ----------
    held_out : HeldOut
    rows : list of dict, optional
        The rows of :func:`scbasset_zoo.training.held_out.evaluate`, if they are there already.

    Returns
    -------
    dict or None
        The card's verdict: learnt ("sequence", "depth" or "nothing"), split, p_sequence, p_cells, p_depth and statement. None
        if no AUROC is defined.
    """
    by_metric = {row["metric"]: row for row in (evaluate(held_out) if rows is None else rows) if row["split"] == held_out.split}
    per_cell, per_peak = by_metric.get("AUROC per cell, mean"), by_metric.get("AUROC per peak, mean")
    if per_cell is None or per_peak is None:
        return None
    peaks, cells = (_evenly_spaced(n) for n in held_out.labels.shape)
    labels = held_out.labels[peaks][:, cells].toarray() > 0
    without_intercept = held_out.peak_embedding[peaks] @ held_out.embedding[cells].T
    scores = without_intercept + held_out.intercept[cells]
    rng = np.random.default_rng(0)
    p_sequence, _ = exchange_test(labels, scores, [np.arange(len(peaks))], rng)
    p_cells, _ = exchange_test(labels.T, scores.T, [np.arange(len(cells))], rng)
    # The intercept is the depth of a cell. Cells of nearly the same depth would still differ in it.
    p_depth, exchanged = exchange_test(labels.T, without_intercept.T, same_depth(held_out.depth[cells]), rng)
    if p_sequence < LEVEL and per_cell["value"] > 0.5:
        learnt = "sequence"
    else:
        learnt = "depth" if p_cells < LEVEL and per_peak["value"] > 0.5 else "nothing"
    tests = {"p_sequence": p_sequence, "p_cells": p_cells, "p_depth": p_depth}
    statement = _statement(learnt, held_out.split, per_cell, per_peak, tests, exchanged)
    return {"learnt": learnt, "split": held_out.split, **tests, "statement": statement}


def exchange_test(
    labels: NDArray[np.bool_], scores: NDArray[Any], groups: Sequence[NDArray[np.intp]], rng: np.random.Generator
) -> tuple[float, float]:
    """Test whether scores rank the rows of each column better than the scores of other rows of the same group do.

    The statistic is the mean AUROC over the columns with both open and closed rows. For ranks R and labels Y, both rows x columns,
    the AUROC is linear in the products of R and Y. So the statistic of a permutation of rows is a sum over a table of rows x rows.

    Parameters
    ----------
    labels, scores : arrays (n, m)
    groups : sequence of int arrays
        The rows in each group. Scores are permuted within groups.
    rng : numpy Generator

    Returns
    -------
    p : float
        One-sided p of 999 permutations, at least 1 / 1,000. It is 1 if no column has both open and closed rows.
    permuted : float
        Mean of the statistic over the permutations.
    """
    from scipy.stats import rankdata

    has_both = labels.any(axis=0) & ~labels.all(axis=0)
    if not has_both.any():
        return 1.0, 0.5
    labels, ranks = labels[:, has_both], rankdata(scores[:, has_both], axis=0)
    n_open = labels.sum(axis=0).astype(np.float64)
    weight = 1 / (n_open * (len(labels) - n_open) * labels.shape[1])
    # Row: where the labels are taken; column: where the ranks are taken.
    table = (labels * weight) @ ranks.T
    offset = float((weight * n_open * (n_open + 1) / 2).sum())
    observed, sums = float(np.trace(table)), np.empty(N_PERMUTATIONS)
    order = np.arange(len(labels))
    for i in range(N_PERMUTATIONS):
        for group in groups:
            order[group] = rng.permutation(group)
        sums[i] = table[np.arange(len(labels)), order].sum()
    # Sums in another order differ in the last places.
    reached = int((sums >= observed - 1e-9 * abs(observed)).sum())
    return (1 + reached) / (1 + N_PERMUTATIONS), float(sums.mean()) - offset


def same_depth(depth: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Divide cells into groups of some five cells that are next to each other in depth."""
    return np.array_split(np.argsort(depth, kind="stable"), max(1, len(depth) // CELLS_OF_SAME_DEPTH))


def _evenly_spaced(n: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, n - 1, min(n, MAX_TESTED)).astype(np.intp))


def _statement(
    learnt: str, split: str, per_cell: dict[str, Any], per_peak: dict[str, Any], tests: dict[str, float], exchanged: float
) -> str:
    gc, depth = per_cell["baselines"]["GC content"], per_peak["baselines"]["depth"]
    ranks_peaks = f"ranks the {split} peaks of a cell with an AUROC of {per_cell['value']:.3f} (chance 0.500, GC content alone "
    ranks_peaks += f"{gc:.3f}; p = {tests['p_sequence']:.2g})"
    ranks_cells = f"ranks the cells of a {split} peak with an AUROC of {per_peak['value']:.3f}"
    if learnt == "sequence":
        only_gc = " GC content alone does as well, so it may have learnt little else." if per_cell["value"] <= gc else ""
        without = per_peak["baselines"]["model without intercept"]
        hardly = "" if tests["p_depth"] < LEVEL else "hardly "
        return (
            f"The model learnt sequence: it {ranks_peaks}.{only_gc} It {ranks_cells} (depth alone {depth:.3f}). Without its "
            f"intercept this is {without:.3f}, and {exchanged:.3f} with cells of the same depth exchanged (p = "
            f"{tests['p_depth']:.2g}), so it {hardly}tells cells of the same depth apart."
        )
    meaning = "Its embeddings, scores and predictions say nothing about regulation."
    if learnt == "depth":
        return (
            f"The model is no better than depth: it {ranks_cells}, and their depth alone reaches {depth:.3f}. It {ranks_peaks}, "
            f"no better than chance. {meaning}"
        )
    return f"The model is no better than chance: it {ranks_peaks}, and it {ranks_cells} (chance 0.500). {meaning}"


def compare_with_validation(history: pd.DataFrame, best_epoch: int) -> str:
    """Say how training and validation AUROC at an epoch compare, and what it means.

    Parameters
    ----------
    history : DataFrame
        A row for each epoch: epoch, auroc, validation_auroc.
    best_epoch : int
        The epoch of the weights that are exported.
    """
    rows = history.set_index("epoch")
    auroc, validation = (rows[name].to_numpy(float)[rows.index.get_loc(best_epoch)] for name in ("auroc", "validation_auroc"))
    at_best = f"Epoch {best_epoch}: training AUROC {auroc:.3f}, validation AUROC {validation:.3f} (mean over cells, chance 0.500)."
    highest = float(history["validation_auroc"].max())
    if np.isnan(validation) or highest - validation < NOTABLE:
        return at_best
    epoch = int(history["epoch"].to_numpy()[history["validation_auroc"].argmax()])
    if epoch > best_epoch:
        return f"{at_best} The validation AUROC was highest later, at epoch {epoch} ({highest:.3f})."
    return (
        f"{at_best} The validation AUROC was highest at epoch {epoch} ({highest:.3f}), so the "
        "network has begun to fit the training peaks by heart. The paper trains on, because the cell embedding goes on improving."
    )
