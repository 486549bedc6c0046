"""Prediction: blocks, groups, strands and batch effects give what a loop over the whole network gives."""

import numpy as np
import pytest
from helpers import toy
from helpers.plain_network import naive_windows, whole_network, with_batches
from helpers.rounding import ROUNDING
from scipy.special import expit

from scbasset_zoo.errors import InputError
from scbasset_zoo.runtime import memory, predictions
from scbasset_zoo.zoo.models import open_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("model") / "toy").folder


@pytest.fixture(scope="module")
def model(folder):
    return open_model(folder, "cpu")


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


@pytest.fixture(scope="module")
def corrected(tmp_path_factory):
    return open_model(toy.toy_corrected_package(tmp_path_factory.mktemp("corrected") / "toy").folder, "cpu")


def reverse(sequence):
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


@pytest.mark.parametrize("output", ["accessibility", "logits"])
@pytest.mark.parametrize("strands", [False, True])
def test_group_means_are_those_of_a_naive_loop(model, genome, output, strands, monkeypatch):
    monkeypatch.setattr(predictions, "BLOCK_CELLS", 2)
    peaks = toy.toy_peaks()
    chosen = ["cell-6", "cell-1", "cell-0", "cell-4", "cell-3", "cell-2"]
    every = model.predict(peaks, genome, output=output, cells=chosen, average_strands=strands)
    grouped = model.predict(peaks, genome, output=output, cells=chosen, group_by="cell_type", average_strands=strands)
    assert grouped.obs_names.tolist() == ["B", "HSC", "T"]
    assert grouped.obs["n_cells"].tolist() == [3, 2, 1]
    for row, group in enumerate(grouped.obs_names):
        members = [i for i, name in enumerate(chosen) if model.cells.loc[name, "cell_type"] == group]
        mean = sum(every.X[i].astype(np.float64) for i in members) / len(members)
        np.testing.assert_allclose(grouped.X[row], mean, atol=ROUNDING)


@pytest.mark.parametrize("output", ["accessibility", "logits"])
def test_predict_with_batch_effects_over_cells_and_groups(corrected, genome, output, monkeypatch):
    monkeypatch.setattr(predictions, "BLOCK_CELLS", 2)
    expected = with_batches(corrected, naive_windows(genome, toy.toy_peaks())).T
    expected = expit(expected) if output == "accessibility" else expected
    options = {"output": output, "batch_effects": True}
    result = corrected.predict(toy.toy_peaks(), genome, **options)
    np.testing.assert_allclose(result.X, expected, atol=ROUNDING)
    assert result.uns["scbasset_zoo"]["batch_effects"]
    chosen = corrected.predict(toy.toy_peaks(), genome, cells=["cell-5", "cell-2"], **options)
    np.testing.assert_allclose(chosen.X, expected[[5, 2]], atol=ROUNDING)
    grouped = corrected.predict(toy.toy_peaks(), genome, group_by="batch", **options)
    np.testing.assert_allclose(grouped.X, [expected[0::2].mean(axis=0), expected[1::2].mean(axis=0)], atol=ROUNDING)


def test_blocks_of_cells_and_stripes_of_peaks_do_not_change_the_result(model, genome, monkeypatch):
    expected = model.predict(toy.toy_peaks(), genome).X
    monkeypatch.setattr(predictions, "BLOCK_CELLS", 3)
    monkeypatch.setattr(predictions, "BLOCK_VALUES", 12)
    monkeypatch.setattr(predictions, "PEAK_STEP", 4)
    np.testing.assert_allclose(model.predict(toy.toy_peaks(), genome).X, expected, atol=ROUNDING)


def test_cells_without_a_group_are_left_out_with_a_message(tmp_path, genome, capsys):
    cells = toy.toy_cells()
    cells["cell_type"] = cells["cell_type"].astype(object)
    cells.loc["cell-1", "cell_type"] = None
    model = open_model(toy.toy_package(tmp_path / "toy", cells=cells).folder, "cpu")
    result = model.predict(["chr1:100-600"], genome, group_by="cell_type")
    assert result.obs["n_cells"].to_dict() == {"B": 3, "HSC": 1, "T": 2}
    assert "1 cells have no cell_type" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["accessibility", "logits", "peak_embedding"])
def test_averaged_strands_are_the_mean_of_the_output_over_both(model, folder, genome, output):
    peaks = toy.toy_peaks()
    windows = naive_windows(genome, peaks)
    one, other = (whole_network(folder, strand)[output] for strand in (windows, [reverse(window) for window in windows]))
    assert np.abs(one - other).max() > 0.01
    result = model.predict(peaks, genome, output=output, average_strands=True)
    got = result.varm["peak_embedding"] if output == "peak_embedding" else result.X.T
    np.testing.assert_allclose(got, (one + other) / 2, atol=ROUNDING)


def test_the_peak_embedding_comes_with_the_cells_in_the_same_space(model, genome):
    peaks = toy.toy_peaks()
    result = model.predict(peaks, genome, output="peak_embedding")
    assert result.X is None
    logits = result.obsm["X_scbasset"] @ result.varm["peak_embedding"].T + result.obs["depth_intercept"].to_numpy()[:, None]
    np.testing.assert_allclose(logits, model.predict(peaks, genome, output="logits").X, atol=ROUNDING)


def test_a_result_larger_than_memory_is_refused_before_it_is_computed(model, genome, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 80)
    assert model.predict(["chr1:100-600"] * 2, genome).shape == (7, 2)
    with pytest.raises(InputError, match=r"7 x 3, takes 0.0 GiB; 0.0 GiB are free. .*scbasset_zoo.predict"):
        model.predict(["chr1:100-600"] * 3, genome)
