"""Evaluates a fitted model on held-out peaks, for its card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.progress import say
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.training.held_out import evaluate, held_out_peaks
from scbasset_zoo.training.verdict import judge

if TYPE_CHECKING:
    from scbasset_zoo.training.architecture import Network

Array = NDArray[np.float32]


def evaluate_held_out(
    prepared: PreparedPeaks,
    held_out: Mapping[str, Array],
    network: Network,
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Evaluate a model on held-out peaks.

    Parameters
    ----------
    prepared : PreparedPeaks
    held_out : mapping of str to float32 arrays of shape (n_peaks, embedding_size)
        The peak embeddings of each split. The verdict is that of the last one.
    network : Network
        The labels include batch effects, so a batch-corrected model predicts them with its batch path.

    Returns
    -------
    rows : list of dict
        Rows of the card's evaluation.
    verdict : dict or None
        What the model learnt, see :func:`scbasset_zoo.training.verdict.judge`.
    """
    if "test" not in held_out:
        say("There are no test peaks, so no test AUROC or AUPR is computed. The card has those of the validation peaks.")
    embedding, intercept = network.head()
    rows: list[dict[str, Any]] = []
    verdict = None
    for split, peak_embedding in held_out.items():
        peaks = held_out_peaks(prepared, split, peak_embedding, embedding, intercept)
        rows += evaluate(peaks)
        verdict = judge(peaks, rows)
    if network.batch_head is not None:
        rows = [{**row, "note": "; ".join(filter(None, (row.get("note"), "with the batch path")))} for row in rows]
    return rows, verdict


def depth_correlations(cells: pd.DataFrame, depths: Mapping[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """Correlate what a model says of the cells' depth with their log number of open peaks (Pearson).

    Parameters
    ----------
    cells : DataFrame
        With a column n_open_peaks.
    depths : mapping of str to float arrays of shape (n_cells,)
        What the model says, by name.

    Returns
    -------
    list of dict
        A row of the card's evaluation for each; none for values that are constant, or if the number of open peaks is.
    """
    n_open = cells["n_open_peaks"].to_numpy()
    has_peaks = n_open > 0
    if has_peaks.sum() < 3 or np.ptp(n_open[has_peaks]) == 0:
        return []
    return [
        {
            "metric": f"Pearson r of {name} and log depth",
            "split": "all",
            "value": float(np.corrcoef(np.log(n_open[has_peaks]), depth[has_peaks])[0, 1]),
            "n": int(has_peaks.sum()),
            "baselines": {"chance": 0.0},
        }
        for name, depth in depths.items()
        if np.ptp(depth[has_peaks]) > 0
    ]
