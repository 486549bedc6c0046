"""How well a fitted model ranks held-out peaks: AUROC and average precision, per cell and per peak."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.training.dataset import PreparedPeaks

# scikit-learn ranks one cell at a time; this many give the mean to the third digit.
MOST_CELLS = 10_000


def evaluate(
    prepared: PreparedPeaks,
    split: str,
    peak_embedding: NDArray[np.float32],
    embedding: NDArray[np.float32],
    intercept: NDArray[np.float32],
) -> list[dict[str, Any]]:
    """Rows of the card's evaluation for one split.

    Parameters
    ----------
    prepared : PreparedPeaks
    split : {"validation", "test"}
    peak_embedding : float32 array of shape (n_peaks, k)
        Of the split's peaks, in their order.
    embedding, intercept : float32 arrays of shape (n_cells, k) and (n_cells,)
        The head that the labels are to be predicted with.

    Returns
    -------
    list of dict
        metric, split, value, n (cells or peaks averaged over) and note.
    """
    cells = np.unique(np.linspace(0, prepared.n_cells - 1, min(prepared.n_cells, MOST_CELLS)).astype(int))
    open_peaks = prepared.labels(prepared.rows(split))[:, cells].tocsc()
    of_cells = (
        _scores(open_peaks[:, [column]].toarray().ravel(), peak_embedding @ embedding[cell] + intercept[cell])
        for column, cell in enumerate(cells)
    )
    open_cells = open_peaks.tocsr()
    of_peaks = (
        _scores(open_cells[[row]].toarray().ravel(), embedding[cells] @ peak + intercept[cells])
        for row, peak in enumerate(peak_embedding)
    )
    note = f"over {len(cells):,} of {prepared.n_cells:,} cells, evenly spaced" if len(cells) < prepared.n_cells else None
    rows = []
    for unit, scores in (("cell", of_cells), ("peak", of_peaks)):
        table = np.array([score for score in scores if score is not None]).reshape(-1, 2)
        for metric, values in zip(("AUROC", "AUPR"), table.T, strict=True):
            if len(values):
                row = {
                    "metric": f"{metric} per {unit}, mean",
                    "split": split,
                    "value": float(values.mean()),
                    "n": len(values),
                }
                rows.append(row | ({"note": note} if note else {}))
    return rows


def depth_correlation(cells: pd.DataFrame, intercept: NDArray[np.float32]) -> dict[str, Any] | None:
    """Pearson correlation of the intercept with the log number of open peaks; None where one of them does not vary."""
    depth = cells["n_open_peaks"].to_numpy()
    seen = depth > 0
    if seen.sum() < 3 or np.ptp(depth[seen]) == 0 or np.ptp(intercept[seen]) == 0:
        return None
    value = np.corrcoef(np.log(depth[seen]), intercept[seen])[0, 1]
    return {
        "metric": "Pearson r of cell intercept and log depth",
        "split": "all",
        "value": float(value),
        "n": int(seen.sum()),
    }


def _scores(labels: NDArray[np.float32], scores: NDArray[np.float32]) -> tuple[float, float] | None:
    """AUROC and average precision; None where all labels are the same."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if labels.min() == labels.max():
        return None
    return roc_auc_score(labels, scores), average_precision_score(labels, scores)
