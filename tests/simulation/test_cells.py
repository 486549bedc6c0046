"""Cells of the lineage: types, activities and batches."""

import math

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbasset_zoo.simulation.simulate import simulate


def test_daughter_types_resemble_their_parent(simulation):
    activity = simulation.type_activities
    distance = pd.DataFrame(
        np.linalg.norm(activity.to_numpy()[:, None] - activity.to_numpy()[None], axis=2), activity.index, activity.index
    )
    for daughter, parent in {"MPP": "HSC", "CMP": "MPP", "GMP": "CMP", "MEP": "CMP", "CLP": "MPP"}.items():
        assert distance.loc[daughter, parent] < distance.to_numpy().max() / 1.2
    assert distance.loc["GMP", "MEP"] > distance.loc["GMP", "CMP"]
    by_type = simulation.activities.groupby(simulation.cells["cell_type"], observed=True)
    np.testing.assert_allclose(by_type.mean(), activity, atol=0.15)
    assert by_type.std()["GATA1"].loc["MEP"] > by_type.std()["GATA1"].loc["HSC"]


def test_batches_differ_in_depth_and_in_the_stress_motif_and_are_spread_over_types(batched):
    cells = batched.cells
    assert (pd.crosstab(cells["cell_type"], cells["batch"]) > 0).all(axis=None)
    assert cells["batch"].value_counts().tolist() == [100, 100, 100]
    log_depth = np.log(cells["depth"]).groupby(cells["batch"], observed=True).mean()
    assert log_depth["batch3"] - log_depth["batch1"] == pytest.approx(0.6, abs=4 * 0.4 * math.sqrt(2 / 100))
    assert batched.tfs.loc["HSF1", "active"]
    has = (batched.strengths["HSF1"] > 0).to_numpy()
    matrix = ad.read_h5ad(batched.matrix)
    ratio = {}
    for batch in ("batch1", "batch3"):
        rate = np.asarray(matrix.X[(matrix.obs["batch"] == batch).to_numpy()].mean(axis=0)).ravel()
        ratio[batch] = rate[has].mean() / rate[~has].mean()
    assert ratio["batch3"] > 1.5 * ratio["batch1"]


def test_without_batches_there_is_no_batch_column(simulation):
    assert "batch" not in simulation.cells


def test_all_types_of_the_lineage_can_be_had(tmp_path):
    simulation = simulate(tmp_path / "s", n_cells=32, n_types=16, n_peaks=50, quiet=True)
    assert simulation.cells["cell_type"].value_counts().tolist() == [2] * 16
    assert (simulation.type_activities > -0.2).all(axis=None)
    assert set(simulation.tfs.index[~simulation.tfs["active"]]) == {
        "HSF1",
        "HNF1A",
        "HNF4A",
        "ESR1",
        "MYOD1",
        "SOX2",
        "FOXA1",
    }
