"""How well a model ranks held-out peaks and cells, beside what chance, depth and GC content alone reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.inputs import dna
from scbasset_zoo.progress import say

if TYPE_CHECKING:
    from scipy import sparse

    from scbasset_zoo.training.dataset import PreparedPeaks

# The mean over this many cells is exact to the third digit.
MAX_CELLS = 10_000
_VALUES_AT_ONCE = 1 << 22

Array = NDArray[np.float32]


@dataclass(frozen=True)
class HeldOut:
    """A model and the labels of held-out peaks.

    Attributes
    ----------
    split : str
        Name of the held-out peaks, such as "test".
    labels : csr matrix (n_peaks, n_cells)
        1 where a peak is open.
    peak_embedding : float32 array (n_peaks, k)
    embedding, intercept : float32 arrays (n_cells, k) and (n_cells,)
        The head that predicts the labels.
    depth : float array (n_cells,)
        Number of open training peaks of each cell.
    gc : float array (n_peaks,)
        Fraction of G and C in each window, times -1 if more G and C means less open training peaks.
    n_all_cells : int
        Number of cells that these cells were taken from.
    """

    split: str
    labels: sparse.csr_matrix
    peak_embedding: Array
    embedding: Array
    intercept: Array
    depth: NDArray[np.float64]
    gc: NDArray[np.float64]
    n_all_cells: int


def held_out_peaks(prepared: PreparedPeaks, split: str, peak_embedding: Array, embedding: Array, intercept: Array) -> HeldOut:
    """Return what the held-out peaks of a split say of a model. Of more than 10,000 cells, it takes 10,000, evenly spaced.

    Parameters
    ----------
    prepared : PreparedPeaks
    split : {"validation", "test"}
    peak_embedding : float32 array (n_peaks, k)
        Embeddings of the peaks of the split, in order.
    embedding, intercept : float32 arrays (n_cells, k) and (n_cells,)
        The head that predicts the labels.
    """
    cells = np.unique(np.linspace(0, prepared.n_cells - 1, min(prepared.n_cells, MAX_CELLS)).astype(int))
    train = prepared.rows("train")
    gc_of_training = _gc(prepared, train)
    slope = np.cov(gc_of_training, prepared.peaks["n_open_cells"].to_numpy()[train].astype(float))[0, 1] if len(train) > 1 else 1
    return HeldOut(
        split=split,
        labels=prepared.labels(prepared.rows(split))[:, cells].tocsr(),
        peak_embedding=peak_embedding,
        embedding=embedding[cells],
        intercept=intercept[cells],
        depth=prepared.count_open_peaks(train)[cells].astype(np.float64),
        gc=_gc(prepared, prepared.rows(split)) * (1 if slope >= 0 else -1),
        n_all_cells=prepared.n_cells,
    )


def evaluate(held_out: HeldOut) -> list[dict[str, Any]]:
    """Evaluate a model on held-out peaks.

    AUROC and AUPR (average precision) per cell rank the peaks of each cell; those per peak rank the cells of each peak. Each is a
    mean over the cells, or peaks, that have both open and closed entries. The baselines beside it are means over the same ones:

    - chance: 0.5 for AUROC, the fraction of open entries for AUPR;
    - per cell, GC content: peaks ranked by the fraction of G and C in their window, the better way round on training peaks;
    - per peak, depth: cells ranked by their number of open training peaks; and the model without its intercept.

    Returns
    -------
    list of dict
        Rows of the card's evaluation: metric, split, value, n (number of cells or peaks averaged over), baselines and note.
    """
    of_cells = _means(
        held_out.labels.T.tocsr(), {"model": _cells_rank_peaks(held_out), "GC content": lambda _: held_out.gc[:, None]}
    )
    of_peaks = _means(
        held_out.labels,
        {
            "model": _peaks_rank_cells(held_out, with_intercept=True),
            "depth": lambda _: held_out.depth[:, None],
            "model without intercept": _peaks_rank_cells(held_out, with_intercept=False),
        },
    )
    n_peaks, n_cells = held_out.labels.shape
    subset = f"over {n_cells:,} of {held_out.n_all_cells:,} cells, evenly spaced" if n_cells < held_out.n_all_cells else None
    rows = []
    for unit, means, n, which in (
        ("cell", of_cells, n_cells, f"in which all {held_out.split} peaks are open or none is"),
        ("peak", of_peaks, n_peaks, "which are open in all cells or in none"),
    ):
        if not means.n:
            say(f"The {held_out.split} AUROC and AUPR per {unit} cannot be computed: there are only {unit}s {which}.")
            continue
        left_out = f"without {n - means.n:,} of {n:,} {unit}s, {which}" if means.n < n else None
        note = "; ".join(filter(None, (subset, left_out)))
        for metric, values, chance in (("AUROC", means.auroc, 0.5), ("AUPR", means.aupr, means.prevalence)):
            value, baselines = values["model"], {name: values[name] for name in values if name != "model"}
            row = {"metric": f"{metric} per {unit}, mean", "split": held_out.split, "value": value, "n": means.n}
            rows.append(row | {"baselines": {"chance": chance} | baselines} | ({"note": note} if note else {}))
    return rows


@dataclass(frozen=True)
class _Means:
    """Means over lines of a label matrix that have both open and closed entries: their number, and values by scores."""

    n: int
    prevalence: float
    auroc: dict[str, float]
    aupr: dict[str, float]


def auroc_of_lines(labels: NDArray[np.bool_], scores: NDArray[Any]) -> NDArray[np.float64]:
    """Return the AUROC of each column of `labels` by `scores`, both (n, m); NaN for a column of equal labels.

    It is the Mann-Whitney U over the number of pairs. Ties count half. scikit-learn takes one column at a time.
    """
    from scipy.stats import rankdata

    n_open = labels.sum(axis=0).astype(np.float64)
    n_closed = len(labels) - n_open
    won = (rankdata(scores, axis=0) * labels).sum(axis=0) - n_open * (n_open + 1) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(won / (n_open * n_closed), dtype=np.float64)


def aupr_of_lines(labels: NDArray[np.bool_], scores: NDArray[Any]) -> NDArray[np.float64]:
    """Return the average precision of each column of `labels` by `scores`, both (n, m); NaN for a column without open entries.

    It is the mean over open entries of the fraction of open ones among all entries with the same or a higher score.
    """
    from scipy.stats import rankdata

    n_as_high = rankdata(-scores, method="max", axis=0)
    n_open_as_high = rankdata(np.where(labels, -scores, np.inf), method="max", axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(labels, n_open_as_high / n_as_high, 0).sum(axis=0)
        return np.asarray(precision / labels.sum(axis=0), dtype=np.float64)


def _means(labels: sparse.csr_matrix, scores_of: dict[str, Callable[[slice], NDArray[Any]]]) -> _Means:
    """Average AUROC and AUPR over the rows of a label matrix.

    Parameters
    ----------
    labels : csr matrix (m, n)
    scores_of : dict
        For each name, a function of a slice of rows that returns their scores, (n, rows) or (n, 1).
    """
    n, prevalence = 0, 0.0
    auroc, aupr = dict.fromkeys(scores_of, 0.0), dict.fromkeys(scores_of, 0.0)
    for rows in _slices(*labels.shape):
        block = labels[rows].toarray().T > 0
        has_both = block.any(axis=0) & ~block.all(axis=0)
        n, prevalence = n + int(has_both.sum()), prevalence + float(block[:, has_both].mean(axis=0).sum())
        for name, scores in scores_of.items():
            values = np.broadcast_to(scores(rows), block.shape)[:, has_both]
            auroc[name] += float(auroc_of_lines(block[:, has_both], values).sum())
            aupr[name] += float(aupr_of_lines(block[:, has_both], values).sum())
    if not n:
        return _Means(0, np.nan, {}, {})
    return _Means(
        n, prevalence / n, {name: value / n for name, value in auroc.items()}, {name: value / n for name, value in aupr.items()}
    )


def _cells_rank_peaks(held_out: HeldOut) -> Callable[[slice], NDArray[Any]]:
    # The intercept of a cell does not change the order of its peaks.
    return lambda cells: held_out.peak_embedding @ held_out.embedding[cells].T


def _peaks_rank_cells(held_out: HeldOut, *, with_intercept: bool) -> Callable[[slice], NDArray[Any]]:
    intercept = held_out.intercept[:, None] if with_intercept else np.float32(0)
    return lambda peaks: held_out.embedding @ held_out.peak_embedding[peaks].T + intercept


def _slices(n: int, width: int) -> Iterator[slice]:
    step = max(1, _VALUES_AT_ONCE // max(1, width))
    for first in range(0, n, step):
        yield slice(first, min(first + step, n))


def _gc(prepared: PreparedPeaks, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the fraction of G and C in the windows of some peaks."""
    fractions = np.empty(len(rows))
    columns = slice(prepared.flank, prepared.flank + prepared.sequence_length)
    for part in _slices(len(rows), prepared.sequence_length):
        codes = prepared.sequences[rows[part], columns]
        fractions[part] = np.isin(codes, dna.encode("CG")).mean(axis=1)
    return fractions
