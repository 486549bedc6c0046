"""Evaluates a fitted model on held-out peaks, for its card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import PackageError
from scbasset_zoo.graph.plain_run import import_onnxruntime
from scbasset_zoo.inputs import dna
from scbasset_zoo.progress import progress
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.training.held_out import evaluate, held_out_peaks
from scbasset_zoo.training.verdict import judge

if TYPE_CHECKING:
    from scbasset_zoo.training.architecture import Network

WINDOWS_AT_ONCE = 64


def evaluate_held_out(
    prepared: PreparedPeaks,
    held_out: Mapping[str, dna.Codes],
    trunk: bytes,
    network: Network,
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Evaluate a model on held-out peaks.

    Parameters
    ----------
    prepared : PreparedPeaks
    held_out : mapping of str to int8 arrays of shape (n_peaks, sequence_length)
        The windows of each split. The verdict is that of the last one.
    trunk : bytes
        The trunk as a serialised ONNX model.
    network : Network
        The labels include batch effects, so a batch-corrected model predicts them with its batch path.

    Returns
    -------
    rows : list of dict
        Rows of the card's evaluation.
    verdict : dict or None
        What the model learnt, see :func:`scbasset_zoo.training.verdict.judge`.

    Raises
    ------
    PackageError
        The embedding of a peak is not finite.
    """
    embedding, intercept = network.head()
    session = import_onnxruntime().InferenceSession(trunk, providers=["CPUExecutionProvider"])
    rows: list[dict[str, Any]] = []
    verdict = None
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
            peaks = held_out_peaks(prepared, split, peak_embedding, embedding, intercept)
            rows += evaluate(peaks)
            verdict = judge(peaks, rows)
    if network.batch_head is not None:
        rows = [{**row, "note": "; ".join(filter(None, (row.get("note"), "with the batch path")))} for row in rows]
    return rows, verdict


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
