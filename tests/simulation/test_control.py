"""The control without signal."""

from __future__ import annotations

import math

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from scbasset_zoo.simulation.control import shuffle_labels


def type_signal(matrix: sp.csr_matrix, types: pd.Series) -> float:
    """Mean over peaks of chi-squared of open by type, over its degrees of freedom: 1 where types do not matter."""
    matrix = matrix[:, matrix.getnnz(axis=0) > 0]
    depth = matrix.getnnz(axis=1)
    share = np.array([depth[(types == t).to_numpy()].sum() for t in types.cat.categories]) / depth.sum()
    observed = np.stack([matrix[(types == t).to_numpy()].getnnz(axis=0) for t in types.cat.categories])
    expected = share[:, None] * observed.sum(axis=0)
    return float(((observed - expected) ** 2 / expected).sum(axis=0).mean() / (len(share) - 1))


def test_shuffled_labels_keep_each_cells_depth_and_lose_the_cell_types(matrix):
    before = matrix.X.copy()
    shuffled = shuffle_labels(matrix, seed=1)
    assert (before != matrix.X).nnz == 0
    assert shuffled.X.format == "csr"
    assert shuffled.X.dtype == before.dtype
    assert shuffled.X.has_canonical_format
    np.testing.assert_array_equal(shuffled.X.getnnz(axis=1), before.getnnz(axis=1))
    assert (shuffled.X.data == 1).all()
    assert type_signal(before, matrix.obs["cell_type"]) > 1.6
    assert 0.7 < type_signal(shuffled.X, matrix.obs["cell_type"]) < 1.05
    # Peaks also lose the differences in how often they are open.
    assert shuffled.X.getnnz(axis=0).std() < 1.2 * math.sqrt(300 * 0.12 * 0.88)
    assert (shuffle_labels(matrix, seed=1).X != shuffled.X).nnz == 0
    assert (shuffle_labels(matrix, seed=2).X != shuffled.X).nnz > 0


def test_shuffled_labels_keep_counts_and_take_backed_matrices(simulation, matrix):
    backed = shuffle_labels(ad.read_h5ad(simulation.matrix, backed="r"), seed=1)
    assert (backed.X != shuffle_labels(matrix, seed=1).X).nnz == 0
    counts = ad.AnnData(sp.csr_matrix(np.array([[0, 5, 0, 7], [1, 0, 0, 0]])))
    assert [sorted(row[row > 0]) for row in shuffle_labels(counts).X.toarray()] == [[5, 7], [1]]
