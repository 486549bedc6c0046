"""The matrix: zeros and ones with the true probabilities, written in chunks."""

from __future__ import annotations

import json
import math
import tracemalloc
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from scbasset_zoo.simulation.simulate import simulate


def naive_probabilities(folder: Path) -> np.ndarray:
    """The formula of the folder's README, in float64 and from the files alone."""
    truth = ad.read_h5ad(folder / "truth.h5ad")
    strengths = pd.read_parquet(folder / "strengths.parquet")
    base = ad.read_h5ad(folder / "matrix.h5ad").var["base_logit"].to_numpy(np.float64)
    intercept = json.loads((folder / "simulation.json").read_text())["intercept"]
    logits = truth.X.astype(np.float64) @ strengths[truth.var_names].to_numpy(np.float64).T
    logits += intercept + base + np.log(truth.obs["depth"].to_numpy(np.float64))[:, None]
    return 1 / (1 + np.exp(-logits))


def test_the_matrix_is_cells_by_peaks_of_zeros_and_ones(matrix):
    assert matrix.shape == (300, 800)
    assert sp.issparse(matrix.X)
    assert matrix.X.format == "csr"
    assert matrix.X.dtype == np.uint8
    assert (matrix.X.data == 1).all()
    for first, end in zip(matrix.X.indptr[:-1], matrix.X.indptr[1:], strict=True):
        assert (np.diff(matrix.X.indices[first:end]) > 0).all()
    assert {"chr", "start", "end"} <= set(matrix.var.columns)
    assert {"cell_type", "depth"} <= set(matrix.obs.columns)
    assert matrix.obs_names.is_unique
    assert matrix.var_names.is_unique
    assert matrix.obs["cell_type"].value_counts().to_dict() == dict.fromkeys(["HSC", "MPP", "CMP", "GMP", "MEP", "CLP"], 50)


@pytest.mark.parametrize("density", [0.02, 0.12, 0.5])
def test_density_is_that_of_the_options(tmp_path, density):
    simulation = simulate(tmp_path / "s", n_cells=400, n_peaks=1000, density=density, quiet=True)
    # 400,000 draws: three standard errors are 3.3 % of 0.02, and less of the others
    assert ad.read_h5ad(simulation.matrix).X.mean() == pytest.approx(density, rel=0.035)
    assert simulation.parameters["density"] == pytest.approx(ad.read_h5ad(simulation.matrix).X.mean(), rel=1e-6)


def test_peaks_are_open_as_often_as_their_true_probability_says(simulation, matrix):
    probabilities = naive_probabilities(simulation.folder)
    np.testing.assert_allclose(simulation.probabilities(slice(0, 50)), probabilities[:50], atol=1e-5)
    is_open = matrix.X.toarray()
    groups = np.digitize(probabilities, np.quantile(probabilities, np.linspace(0, 1, 21)[1:-1]))
    for group in range(20):
        p, y = probabilities[groups == group], is_open[groups == group]
        assert abs(y.sum() - p.sum()) < 4 * math.sqrt((p * (1 - p)).sum())
    for axis in (0, 1):
        z = (is_open.sum(axis) - probabilities.sum(axis)) / np.sqrt((probabilities * (1 - probabilities)).sum(axis))
        assert 0.85 < z.std() < 1.15
        assert abs(z.mean()) < 0.2


def motif_effects(simulation, matrix) -> pd.DataFrame:
    """By type and TF: log odds of open peaks with the TF's motif less that without."""
    effects = {}
    for cell_type in simulation.type_activities.index:
        is_open = matrix.X[(matrix.obs["cell_type"] == cell_type).to_numpy()]
        rate = np.asarray(is_open.mean(axis=0)).ravel()
        has = simulation.strengths > 0
        odds = {tf: [rate[has[tf] == which].mean() for which in (True, False)] for tf in has.columns}
        effects[cell_type] = {tf: math.log(a / (1 - a) * (1 - b) / b) for tf, (a, b) in odds.items()}
    return pd.DataFrame(effects).T


def test_peaks_with_a_motif_open_with_the_activity_of_its_tf_and_inactive_tfs_do_not_matter(simulation, matrix):
    effects, activity = motif_effects(simulation, matrix), simulation.type_activities
    changing = activity.columns[activity.max() - activity.min() > 1.0]
    assert len(changing) >= 8
    for tf in changing:
        assert np.corrcoef(effects[tf], activity[tf])[0, 1] > 0.9, tf
    inactive = simulation.tfs.index[~simulation.tfs["active"]]
    assert {"HNF4A", "MYOD1", "HSF1"} <= set(inactive)
    assert (simulation.activities[inactive] == 0).all(axis=None)
    assert effects[inactive].std().max() < 0.6 * effects[changing].std().min()
    assert effects["MYB"].mean() > 0.5 > effects[inactive].mean().abs().max()


def test_many_cells_are_written_in_chunks_within_memory(tmp_path):
    tracemalloc.start()
    try:
        simulation = simulate(tmp_path / "s", n_cells=50_000, n_peaks=500, density=0.05, quiet=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50_000 * 500 * 4  # one dense float32 copy of the matrix
    with h5py.File(simulation.matrix) as file:
        indptr, n_ones = file["X/indptr"][:], len(file["X/indices"])
    assert len(indptr) == 50_001
    assert indptr[-1] == n_ones
    assert indptr.dtype == np.int64
    last = np.arange(45_000, 50_000)
    rate = np.diff(indptr)[last] / 500
    assert np.corrcoef(rate, simulation.probabilities(last).mean(axis=1))[0, 1] > 0.8
