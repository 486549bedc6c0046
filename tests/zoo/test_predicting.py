"""`sz.predict`: a model by name or open, a result in memory or in a file."""

import anndata as ad
import numpy as np
import pytest
from helpers import toy
from helpers.rounding import ROUNDING

import scbasset_zoo as sz


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("predicting") / "toy").folder


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


def test_a_folder_and_an_open_model_give_the_same_result(folder, genome):
    model = sz.open_model(folder, "cpu")
    expected = model.predict(toy.toy_peaks(), genome, group_by="cell_type")
    for given in (folder, str(folder), model):
        result = sz.predict(given, toy.toy_peaks(), genome, device="cpu", group_by="cell_type")
        np.testing.assert_allclose(result.X, expected.X, atol=ROUNDING)
        assert result.obs_names.tolist() == ["B", "HSC", "T"]


def test_out_writes_the_same_result_to_a_file(folder, genome, tmp_path):
    out = tmp_path / "p.h5ad"
    written = sz.predict(folder, toy.toy_peaks(), genome, out=out, device="cpu", output="logits")
    expected = sz.predict(folder, toy.toy_peaks(), genome, device="cpu", output="logits")
    np.testing.assert_allclose(ad.read_h5ad(out).X, expected.X, rtol=0, atol=ROUNDING)
    assert written.obs.index.tolist() == expected.obs_names.tolist()
    with pytest.raises(sz.InputError, match="already exists"):
        sz.predict(folder, toy.toy_peaks(), genome, out=out, device="cpu")
    sz.predict(folder, toy.toy_peaks(), genome, out=out, overwrite=True, device="cpu")


def test_an_unknown_option_is_refused_with_a_suggestion(folder, genome):
    with pytest.raises(sz.InputError, match="groupby is not an option; did you mean group_by"):
        sz.predict(folder, toy.toy_peaks(), genome, device="cpu", groupby="cell_type")
