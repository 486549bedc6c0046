"""How well a fitted model ranks held-out peaks: AUROC and average precision, for each cell and for each peak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import PackageError
from scbasset_zoo.graph.plain_run import import_onnxruntime
from scbasset_zoo.inputs import dna
from scbasset_zoo.progress import progress, say
from scbasset_zoo.training.dataset import PreparedPeaks

if TYPE_CHECKING:
    from scbasset_zoo.training.architecture import Network

# scikit-learn ranks one cell at a time; the mean over this many cells is exact to the third digit.
MAX_CELLS = 10_000
WINDOWS_AT_ONCE = 64


def evaluate_held_out(
    prepared: PreparedPeaks,
    held_out: Mapping[str, dna.Codes],
    trunk: bytes,
    network: Network,
    batch_of_cell: NDArray[np.intp] | None,
) -> list[dict[str, Any]]:
    """Evaluate a model on held-out peaks.

    Parameters
    ----------
    prepared : PreparedPeaks
    held_out : mapping of str to int8 arrays of shape (n_peaks, sequence_length)
        The windows of each split.
    trunk : bytes
        The trunk as a serialised ONNX model.
    network : Network
    batch_of_cell : integer array of shape (n_cells,) or None
        For a batch-corrected model. The labels include batch effects, so the model predicts them with its batch path.

    Returns
    -------
    list of dict
        Rows of the card's evaluation.

    Raises
    ------
    PackageError
        The embedding of a peak is not finite.
    """
    embedding, intercept = np.asarray(network.cell_head.kernel).T, np.asarray(network.cell_head.bias)
    if network.batch_head is not None:
        embedding = embedding + np.asarray(network.batch_head.kernel).T[batch_of_cell]
        intercept = intercept + np.asarray(network.batch_head.bias)[batch_of_cell]
    session = import_onnxruntime().InferenceSession(trunk, providers=["CPUExecutionProvider"])
    rows = []
    with progress("evaluating held-out peaks", sum(map(len, held_out.values()))) as advance:
        for split, codes in held_out.items():
            parts = []
            for first in range(0, len(codes), WINDOWS_AT_ONCE):
                part = codes[first : first + WINDOWS_AT_ONCE]
                parts.append(session.run(None, {"sequence": dna.one_hot(part)})[0])
                advance(len(part))
            peak_embedding = np.concatenate(parts)
            if not np.isfinite(peak_embedding).all():
                raise PackageError(f"The embeddings of some {split} peaks are not finite, so the model cannot be used.")
            rows += evaluate(prepared, split, peak_embedding, embedding, intercept)
    if network.batch_head is not None:
        rows = [{**row, "note": "; ".join(filter(None, (row.get("note"), "with the batch path")))} for row in rows]
    return rows


def evaluate(
    prepared: PreparedPeaks,
    split: str,
    peak_embedding: NDArray[np.float32],
    embedding: NDArray[np.float32],
    intercept: NDArray[np.float32],
) -> list[dict[str, Any]]:
    """Evaluate a model on one split.

    Parameters
    ----------
    prepared : PreparedPeaks
    split : {"validation", "test"}
    peak_embedding : float32 array of shape (n_peaks, k)
        Embeddings of the peaks of the split, in order.
    embedding, intercept : float32 arrays of shape (n_cells, k) and (n_cells,)
        The head that predicts the labels.

    Returns
    -------
    list of dict
        metric, split, value, n (number of cells or peaks averaged over) and note.
    """
    cells = np.unique(np.linspace(0, prepared.n_cells - 1, min(prepared.n_cells, MAX_CELLS)).astype(int))
    open_peaks = prepared.labels(prepared.rows(split))[:, cells].tocsc()
    scores_of_cells = (
        _scores(open_peaks[:, [column]].toarray().ravel(), peak_embedding @ embedding[cell] + intercept[cell])
        for column, cell in enumerate(cells)
    )
    open_cells = open_peaks.tocsr()
    scores_of_peaks = (
        _scores(open_cells[[row]].toarray().ravel(), embedding[cells] @ peak + intercept[cells])
        for row, peak in enumerate(peak_embedding)
    )
    subset = f"over {len(cells):,} of {prepared.n_cells:,} cells, evenly spaced" if len(cells) < prepared.n_cells else None
    rows = []
    for unit, scores, n, which in (
        ("cell", scores_of_cells, len(cells), f"in which all {split} peaks are open or none is"),
        ("peak", scores_of_peaks, len(peak_embedding), "which are open in all cells or in none"),
    ):
        table = np.array([score for score in scores if score is not None]).reshape(-1, 2)
        if not len(table):
            say(f"The {split} AUROC and AUPR per {unit} cannot be computed: there are only {unit}s {which}.")
            continue
        left_out = f"without {n - len(table):,} of {n:,} {unit}s, {which}" if len(table) < n else None
        note = "; ".join(filter(None, (subset, left_out)))
        for metric, values in zip(("AUROC", "AUPR"), table.T, strict=True):
            row = {"metric": f"{metric} per {unit}, mean", "split": split, "value": float(values.mean()), "n": len(values)}
            rows.append(row | ({"note": note} if note else {}))
    return rows


def depth_correlation(cells: pd.DataFrame, intercept: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Correlate the intercept of the cells with their log number of open peaks (Pearson).

    Returns
    -------
    list of dict
        One row of the card's evaluation; none if the intercept or the number of open peaks is constant.
    """
    depth = cells["n_open_peaks"].to_numpy()
    has_peaks = depth > 0
    if has_peaks.sum() < 3 or np.ptp(depth[has_peaks]) == 0 or np.ptp(intercept[has_peaks]) == 0:
        return []
    value = np.corrcoef(np.log(depth[has_peaks]), intercept[has_peaks])[0, 1]
    metric = "Pearson r of cell intercept and log depth"
    return [{"metric": metric, "split": "all", "value": float(value), "n": int(has_peaks.sum())}]


def _scores(labels: NDArray[np.float32], scores: NDArray[np.float32]) -> tuple[float, float] | None:
    """Return AUROC and average precision; None if all labels are equal."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if labels.min() == labels.max():
        return None
    return roc_auc_score(labels, scores), average_precision_score(labels, scores)
