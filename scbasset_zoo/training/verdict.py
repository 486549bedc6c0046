"""Says in words what a model learnt: sequence, only the depth of the cells, or nothing. Each conclusion has a permutation test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.training.held_out import HeldOut, evaluate, peak_differences

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.01
# A difference of AUROC that is worth a sentence.
NOTABLE = 0.01
N_PERMUTATIONS = 999
# The test of the peaks' order takes a table of peaks x peaks.
MAX_TESTED = 2_000


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
    by_model, by_depth = peak_differences(held_out)
    tests = {
        "p_sequence": peaks_test(held_out),
        "p_cells": _paired_test(by_model, np.full(len(by_model), 0.5)),
        "p_depth": _paired_test(by_model, by_depth),
    }
    if tests["p_sequence"] < LEVEL and per_cell["value"] > 0.5:
        learnt = "sequence"
    else:
        learnt = "depth" if tests["p_cells"] < LEVEL and per_peak["value"] > 0.5 else "nothing"
    statement = _statement(learnt, held_out.split, per_cell, per_peak, tests)
    return {"learnt": learnt, "split": held_out.split, **tests, "statement": statement}


def peaks_test(held_out: HeldOut) -> float:
    """Test whether a model ranks the peaks of a cell better than chance, by permuting the peaks of its embeddings.

    The statistic is the mean AUROC over cells. For ranks R and labels Y, both peaks x cells, the AUROC is linear in R Y, so the
    statistic of a permutation is a sum over a table of peaks x peaks. Of more than 2,000 cells or peaks, 2,000 are taken.

    Returns
    -------
    float
        One-sided p, at least 1 / 1,000; NaN if no cell has both open and closed peaks.
    """
    from scipy.stats import rankdata

    peaks, cells = (np.unique(np.linspace(0, n - 1, min(n, MAX_TESTED)).astype(int)) for n in held_out.labels.shape)
    labels = held_out.labels[peaks][:, cells].toarray() > 0
    has_both = labels.any(axis=0) & ~labels.all(axis=0)
    if not has_both.any():
        return float("nan")
    labels = labels[:, has_both]
    scores = held_out.peak_embedding[peaks] @ held_out.embedding[cells[has_both]].T
    n_open = labels.sum(axis=0)
    # Row: the peak whose labels are taken; column: the peak whose ranks are taken.
    table = (labels / (n_open * (len(labels) - n_open))) @ rankdata(scores, axis=0).T
    rng = np.random.default_rng(0)
    columns = np.arange(len(labels))
    permuted = np.array([table[rng.permutation(columns), columns].sum() for _ in range(N_PERMUTATIONS)])
    # Sums in another order differ in the last places.
    reached = permuted >= np.trace(table) - 1e-9 * abs(np.trace(table))
    return float((1 + reached.sum()) / (1 + N_PERMUTATIONS))


def _paired_test(values: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Test whether values are larger than others in the mean, by swapping pairs; one-sided p."""
    from scipy.stats import permutation_test

    if len(values) < 2 or np.allclose(values, others, rtol=0, atol=1e-9):
        return 1.0
    return float(
        permutation_test(
            (values, others),
            lambda first, second, axis: np.mean(first - second, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=N_PERMUTATIONS,
            batch=100,
            alternative="greater",
            rng=np.random.default_rng(0),
        ).pvalue
    )


def _statement(learnt: str, split: str, per_cell: dict[str, Any], per_peak: dict[str, Any], tests: dict[str, float]) -> str:
    gc, depth = per_cell["baselines"]["GC content"], per_peak["baselines"]["depth"]
    of_cell, of_peak = f"{per_cell['value']:.3f}", f"{per_peak['value']:.3f}"
    ranks_peaks = f"ranks the {split} peaks of a cell with an AUROC of {of_cell} (chance 0.500, GC content alone {gc:.3f}"
    ranks_peaks += f"; p = {tests['p_sequence']:.2g})"
    ranks_cells = f"ranks the cells of a {split} peak with an AUROC of {of_peak}"
    if learnt == "sequence":
        only_gc = " GC content alone does as well, so it may have learnt little else." if per_cell["value"] <= gc else ""
        beats_depth = tests["p_depth"] < LEVEL and per_peak["value"] > depth
        than_depth = (
            f"better than their depth alone ({depth:.3f}; p = {tests['p_depth']:.2g})."
            if beats_depth
            else f"no better than their depth alone ({depth:.3f}; p = {tests['p_depth']:.2g}): it may hardly tell cells apart."
        )
        return f"The model learnt sequence: it {ranks_peaks}.{only_gc} It {ranks_cells}, {than_depth}"
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
    return (
        f"{at_best} The validation AUROC was highest at epoch {epoch} ({highest:.3f}), so the "
        "network has begun to fit the training peaks by heart. The paper trains on, because the cell embedding goes on improving."
    )
