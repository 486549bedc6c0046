"""`sz.compare_models`: how alike two models place the same cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.runtime.canonical_space import Space

if TYPE_CHECKING:
    from scbasset_zoo.runtime.sequence_model import SequenceModel

MIN_CELLS = 3
MAX_SAMPLED = 2_000
_DISTANCES_AT_ONCE = 1 << 25

Matrix = NDArray[np.float64]


def compare_models(
    a: SequenceModel, b: SequenceModel, *, space: Space = "canonical", n_neighbours: int = 10, seed: int = 0
) -> pd.DataFrame:
    """Compare where two models place the cells that they share: two seeds, checkpoints, precisions or releases of a fit.

    In the canonical space, distances of both models are differences of logits, so they can be compared as they are. The published
    embeddings have no units that two fits share; they are compared for reference.

    Parameters
    ----------
    a, b : Model
        They have cells in common, by barcode. Peaks and networks may differ.
    space : "canonical" or "published"
    n_neighbours : int
        Nearest neighbours of a cell that are compared.
    seed : int
        Of the sample of cells, and of the permutation that gives the values by chance.

    Returns
    -------
    DataFrame
        Columns value and chance; chance is the value after the cells of `b` were permuted. Rows:

        - distances: Pearson correlation of the distances between cells, of at most 2,000 cells;
        - procrustes: fraction of the variance of the cells in `a` that those in `b` explain after the best rotation or reflection,
          without scaling (negative if `b` is much larger);
        - neighbours: fraction of the nearest neighbours of a cell that both models share, of at most 2,000 cells among all;
        - axes: correlation of each axis of `a` with the same axis of `b`, without its sign, mean weighted by the variance in `a`;
        - depth: Pearson correlation of the depths, or of the intercepts in the published space;
        - size: root mean square distance from the mean cell in `b`, divided by that in `a`.

        Its `attrs` have n_cells, space and n_neighbours.

    Raises
    ------
    InputError
        The models share fewer cells than are needed, `n_neighbours` is not a number from 1 to the number of cells less 2, or one of
        the packages has no gauge.
    """
    if space not in ("canonical", "published"):
        raise InputError(f"space must be 'canonical' or 'published'; found {space!r}.")
    position_in_b = b.cells.index.get_indexer(a.cells.index)
    in_a = np.flatnonzero(position_in_b >= 0)
    n = len(in_a)
    if n < max(MIN_CELLS, n_neighbours + 2) or n_neighbours < 1:
        raise InputError(
            f"The models share {n:,} cells, of {a.n_cells:,} and {b.n_cells:,}; {max(MIN_CELLS, n_neighbours + 2):,} or more are "
            f"needed to compare {n_neighbours} neighbours. Cells are matched by barcode."
        )
    rng = np.random.default_rng(seed)
    in_b, permuted = position_in_b[in_a], rng.permutation(n)
    sample = np.sort(rng.choice(n, min(n, MAX_SAMPLED), replace=False))
    cells_a, depth_a = _cells(a, in_a, space)
    cells_b, depth_b = _cells(b, in_b, space)
    neighbours_a = _neighbours(cells_a, sample, n_neighbours)
    rows = {
        measure: {"value": value, "chance": chance}
        for (measure, value), chance in zip(
            _measures(cells_a, depth_a, cells_b, depth_b, sample, neighbours_a, n_neighbours).items(),
            _measures(cells_a, depth_a, cells_b[permuted], depth_b[permuted], sample, neighbours_a, n_neighbours).values(),
            strict=True,
        )
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("measure")
    table.attrs.update(n_cells=n, space=space, n_neighbours=n_neighbours)
    return table


def _cells(model: SequenceModel, positions: NDArray[np.intp], space: Space) -> tuple[Matrix, Matrix]:
    """Return the embedding of cells, and their depth."""
    if space == "canonical":
        return model.canonical_embedding[positions].astype(np.float64), model.depth[positions].astype(np.float64)
    return model.cell_embedding[positions].astype(np.float64), model.cell_intercept[positions].astype(np.float64)


def _measures(
    a: Matrix, depth_a: Matrix, b: Matrix, depth_b: Matrix, sample: NDArray[np.intp], neighbours_a: NDArray[np.intp], k: int
) -> dict[str, float]:
    from scipy.spatial.distance import pdist

    centred_a, centred_b = a - a.mean(axis=0), b - b.mean(axis=0)
    variance_a, variance_b = (centred_a**2).sum(), (centred_b**2).sum()
    rotated = np.linalg.svd(centred_a.T @ centred_b, compute_uv=False).sum()
    neighbours_b = _neighbours(b, sample, k)
    shared = [len(np.intersect1d(*pair, assume_unique=True)) for pair in zip(neighbours_a, neighbours_b, strict=True)]
    axes = min(a.shape[1], b.shape[1])
    return {
        "distances": _correlation(pdist(a[sample]), pdist(b[sample])),
        # The squared distance after the best rotation, https://doi.org/10.1007/BF02289451.
        "procrustes": float(1 - (variance_a + variance_b - 2 * rotated) / variance_a) if variance_a else np.nan,
        "neighbours": float(np.mean(shared)) / k,
        "axes": _axes_correlation(centred_a[:, :axes], centred_b[:, :axes]),
        "depth": _correlation(depth_a, depth_b),
        "size": float(np.sqrt(variance_b / variance_a)) if variance_a else np.nan,
    }


def _correlation(x: Matrix, y: Matrix) -> float:
    """Return the Pearson correlation; NaN if one of the two is constant."""
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 0 else np.nan


def _axes_correlation(a: Matrix, b: Matrix) -> float:
    weights = (a**2).sum(axis=0)
    correlations = np.nan_to_num([abs(_correlation(x, y)) for x, y in zip(a.T, b.T, strict=True)])
    return float(weights @ correlations / weights.sum()) if weights.sum() > 0 else np.nan


def _neighbours(cells: Matrix, sample: NDArray[np.intp], k: int) -> NDArray[np.intp]:
    """Return the positions of the `k` nearest other cells of each sampled cell, in no order."""
    squares = (cells**2).sum(axis=1)
    nearest = np.empty((len(sample), k), dtype=np.intp)
    step = max(1, _DISTANCES_AT_ONCE // len(cells))
    for first in range(0, len(sample), step):
        part = sample[first : first + step]
        distances = squares - 2 * cells[part] @ cells.T
        distances[np.arange(len(part)), part] = np.inf
        nearest[first : first + step] = np.argpartition(distances, k - 1, axis=1)[:, :k]
    return nearest
