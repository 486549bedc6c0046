"""A simulation as a whole: seeds, signal, size, and the folder that is written."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import sha256
from scbasset_zoo.simulation.simulate import simulate
from tests.helpers.simulated import SMALL


def test_the_same_seed_gives_the_same_data_and_another_seed_other_data(simulation, tmp_path):
    again, other = (simulate(tmp_path / str(seed), **{**SMALL, "seed": seed}) for seed in (3, 4))
    assert sha256(again.genome) == sha256(simulation.genome) != sha256(other.genome)
    pd.testing.assert_frame_equal(again.activities, simulation.activities)
    pd.testing.assert_frame_equal(again.motif_sites, simulation.motif_sites)
    matrices = [ad.read_h5ad(s.matrix).X for s in (simulation, again, other)]
    assert (matrices[0] != matrices[1]).nnz == 0
    assert (matrices[0] != matrices[2]).nnz > 0


def test_no_signal_leaves_the_peaks_blind_to_the_cell_type(tmp_path):
    simulation = simulate(tmp_path / "s", **{**SMALL, "signal": 0})
    assert (simulation.strengths == 0).all(axis=None)
    assert len(simulation.motif_sites) > 0
    assert simulation.parameters["best_auroc_from_sequence"] == pytest.approx(0.5, abs=0.01)


def test_signal_scales_strengths(simulation, tmp_path):
    double = simulate(tmp_path / "s", **{**SMALL, "signal": 2})
    np.testing.assert_allclose(double.strengths, 2 * simulation.strengths, rtol=1e-6)
    assert sha256(double.genome) == sha256(simulation.genome)


def test_default_size_is_realistic_and_learnable(tmp_path):
    simulation = simulate(tmp_path / "s", quiet=True)
    assert 0.85 < simulation.parameters["best_auroc_from_sequence"] < simulation.parameters["best_auroc"] < 0.92


def test_a_folder_is_replaced_only_with_overwrite(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        simulate(tmp_path / "s", n_cells=6, n_peaks=10, quiet=True)
    with pytest.raises(InputError, match="is not a result of this kind"):
        simulate(tmp_path / "s", n_cells=6, n_peaks=10, overwrite=True, quiet=True)
    assert (tmp_path / "s" / "mine.txt").read_text() == "mine"
    (tmp_path / "s" / "simulation.json").write_text("{}")
    with pytest.raises(InputError, match="is not a result of this kind"):
        simulate(tmp_path / "s", n_cells=6, n_peaks=10, overwrite=True, quiet=True)
    simulate(tmp_path / "t", n_cells=6, n_peaks=10, quiet=True)
    simulate(tmp_path / "t", n_cells=6, n_peaks=10, overwrite=True, quiet=True)
    (tmp_path / "t" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="has mine.txt, which is not of this result"):
        simulate(tmp_path / "t", n_cells=6, n_peaks=10, overwrite=True, quiet=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s", "t"]
