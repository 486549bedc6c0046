"""Several models: the mean and the standard deviation of the predictions of each, with cells matched by barcode."""

import pickle

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from helpers import toy
from helpers.several import several_packages

import scbasset_zoo as sz
from scbasset_zoo.cli.predict import predict as predict_command
from scbasset_zoo.runtime import predictions

TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return several_packages(tmp_path_factory.mktemp("several"))


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


@pytest.fixture(scope="module")
def models(folders):
    return sz.open_models(folders, "cpu")


def by_each(folders, genome, rows, **options):
    """The predictions of each model, (n_models, rows, peaks), with the rows in one order."""
    results = [sz.open_model(folder, "cpu").predict(toy.toy_peaks(), genome, **options) for folder in folders]
    return np.stack([result[rows].X for result in results]).astype(np.float64)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"output": "logits"},
        {"group_by": "cell_type"},
        {"output": "logits", "group_by": "batch", "average_strands": True},
        {"cells": ["cell-4", "cell-0"]},
    ],
)
@pytest.mark.parametrize("n_models", [2, 3])
def test_the_result_is_mean_and_deviation_over_models(folders, genome, options, n_models):
    result = sz.open_models(folders[:n_models], "cpu").predict(toy.toy_peaks(), genome, **options)
    each = by_each(folders[:n_models], genome, result.obs_names, **options)
    np.testing.assert_allclose(result.X, each.mean(axis=0), **TOLERANCE)
    np.testing.assert_allclose(result.layers["std"], each.std(axis=0, ddof=1), **TOLERANCE)
    assert each.std(axis=0).max() > 1e-3, "the models must differ for this test to mean much"
    provenance = result.uns["scbasset_zoo"]
    assert provenance["model_id"] == ", ".join(["toy/usual", "toy/reversed", "toy/other-space"][:n_models])
    assert len(provenance["card_sha256"].split(", ")) == n_models


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr", ".parquet"])
def test_a_file_is_written_in_blocks_and_has_what_is_returned_in_memory(models, folders, genome, tmp_path, suffix, monkeypatch):
    expected = models.predict(toy.toy_peaks(), genome)
    monkeypatch.setattr(predictions, "BLOCK_CELLS", 3)
    monkeypatch.setattr(predictions, "PEAK_STEP", 2)
    out = tmp_path / f"p{suffix}"
    sz.predict(folders, toy.toy_peaks(), genome, out=out, device="cpu")
    if suffix == ".parquet":
        table = pd.read_parquet(out)
        np.testing.assert_allclose(table[list(expected.obs_names)].T, expected.X, **TOLERANCE)
        np.testing.assert_allclose(table[[f"{name}_std" for name in expected.obs_names]].T, expected.layers["std"], **TOLERANCE)
        return
    read = ad.read_h5ad(out) if suffix == ".h5ad" else ad.read_zarr(out)
    np.testing.assert_allclose(read.X, expected.X, **TOLERANCE)
    np.testing.assert_allclose(read.layers["std"], expected.layers["std"], **TOLERANCE)
    assert read.uns["scbasset_zoo"]["card_sha256"] == expected.uns["scbasset_zoo"]["card_sha256"]


def test_the_command_takes_several_models(models, folders, genome, tmp_path):
    from typer import Typer
    from typer.testing import CliRunner

    app = Typer()
    app.command()(predict_command)
    toy.toy_peaks()[["chrom", "start", "end"]].to_csv(tmp_path / "p.bed", sep="\t", header=False, index=False)
    options = ["--peaks", tmp_path / "p.bed", "--genome", genome, "--out", tmp_path / "p.h5ad", "--device", "cpu"]
    done = CliRunner().invoke(app, [str(argument) for argument in [*folders, *options]])
    assert done.exit_code == 0, done.output
    assert "7 cells x 12 peaks, mean and standard deviation over toy/usual 1.0.0, toy/reversed 1.0.0" in done.stdout
    np.testing.assert_allclose(ad.read_h5ad(tmp_path / "p.h5ad").X, models.predict(toy.toy_peaks(), genome).X, **TOLERANCE)


def test_cells_have_the_order_and_columns_of_the_first_model(models, folders):
    assert len(models) == 3
    assert models.n_cells == 7
    assert "toy/usual 1.0.0, toy/reversed 1.0.0" in repr(models)
    single = [sz.open_model(folder, "cpu") for folder in folders]
    for model, alone in zip(models, single, strict=True):
        assert model.cells.index.tolist() == single[0].cells.index.tolist()
        np.testing.assert_array_equal(model.cell_embedding, alone.cell_embedding[alone.positions(model.cells.index.to_numpy())])
    again = pickle.loads(pickle.dumps(models[1]))
    np.testing.assert_array_equal(again.cell_intercept, models[1].cell_intercept)
    pd.testing.assert_frame_equal(again.cells, models[1].cells)


def test_batch_effects_follow_their_cells(tmp_path, genome):
    corrected = [toy.toy_corrected_package(tmp_path / f"c{seed}", seed=seed, id=f"toy/c{seed}").folder for seed in (0, 1)]
    usual = toy.toy_package(tmp_path / "reversed", cells=toy.toy_cells().iloc[::-1], id="toy/reversed").folder
    first = sz.open_models([usual, corrected[0]], "cpu")[1]
    alone = sz.open_model(corrected[0], "cpu")
    sequences = toy.random_sequences(2)
    expected = alone.logits(sequences, batch_effects=True)[:, ::-1]
    np.testing.assert_allclose(first.logits(sequences, batch_effects=True), expected, **TOLERANCE)
    result = sz.open_models(corrected, "cpu").predict(toy.toy_peaks(), genome, output="logits", batch_effects=True)
    each = by_each(corrected, genome, result.obs_names, output="logits", batch_effects=True)
    np.testing.assert_allclose(result.X, each.mean(axis=0), **TOLERANCE)


def test_one_model_gives_what_it_gives_alone(folders, genome):
    alone = sz.open_model(folders[0], "cpu").predict(toy.toy_peaks(), genome)
    for result in (
        sz.open_models(folders[:1], "cpu").predict(toy.toy_peaks(), genome),
        sz.open_models(folders[0], "cpu").predict(toy.toy_peaks(), genome),
        sz.predict(folders[:1], toy.toy_peaks(), genome, device="cpu"),
    ):
        np.testing.assert_array_equal(result.X, alone.X)
        assert not result.layers
        assert result.uns["scbasset_zoo"] == alone.uns["scbasset_zoo"]


def test_only_common_cells_are_kept_if_asked(folders, genome, tmp_path):
    cells = toy.toy_cells(9).iloc[2:].rename(index={"cell-8": "another"})
    other = toy.toy_package(tmp_path / "other", cells=cells, id="toy/others").folder
    message = (
        r"different cells: 2 only in toy/usual .*, the first of which is 'cell-0'; 2 only in toy/others .* 'cell-7'\. They have 5 "
        r"in common, by barcode\. Give common_cells=True"
    )
    with pytest.raises(sz.InputError, match=message):
        sz.open_models([folders[0], other], "cpu")
    result = sz.predict([folders[0], other], toy.toy_peaks(), genome, device="cpu", common_cells=True, output="logits")
    assert result.obs_names.tolist() == [f"cell-{i}" for i in range(2, 7)]
    np.testing.assert_allclose(
        result.X, by_each([folders[0], other], genome, result.obs_names, output="logits").mean(0), **TOLERANCE
    )
    strangers = toy.toy_package(
        tmp_path / "strangers", cells=cells.rename(index=lambda name: f"x{name}"), id="toy/strangers"
    ).folder
    with pytest.raises(sz.InputError, match=r"2 models have no cell in common.*look like 'cell-0'.*like 'xcell-2'"):
        sz.open_models([folders[0], strangers], "cpu", common_cells=True)


def test_models_that_do_not_belong_together_are_refused_before_a_network_is_loaded(folders, tmp_path, monkeypatch):
    genome = {"assembly": "toy2", "naming": "ucsc", "chromosome_sizes": dict(toy.CHROMOSOME_SIZES)}
    toy.toy_package(tmp_path / "toy2", genome=genome, id="toy/toy2")
    monkeypatch.setattr(sz.Model, "__init__", None)
    with pytest.raises(sz.InputError, match=r"toy/usual 1.0.0 .* was trained on toy1, and toy/toy2 1.0.0 .* on toy2\."):
        sz.open_models([folders[0], tmp_path / "toy2"], "cpu")
    with pytest.raises(sz.InputError, match=r"toy/usual 1.0.0 is given twice .*Give each model once"):
        sz.open_models([folders[0], folders[1], folders[0]], "cpu")
    with pytest.raises(sz.InputError, match="No model is given"):
        sz.open_models([], "cpu")


def test_another_sequence_length_is_refused(folders, monkeypatch):
    packages = [model.package for model in sz.open_models(folders[:2], "cpu")]
    card = packages[1].card
    shorter = card.model_copy(update={"input": card.input.model_copy(update={"length": 672})})
    object.__setattr__(packages[1], "card", shorter)
    with pytest.raises(sz.InputError, match=r"takes sequences of 1,344 bp, and toy/reversed 1.0.0 .* of 672 bp"):
        type(sz.open_models(folders, "cpu"))(packages, "cpu")


def test_the_peak_embedding_of_several_models_is_refused(models, genome):
    with pytest.raises(sz.InputError, match=r"output='peak_embedding' takes one model: each model has a space of its own"):
        models.predict(toy.toy_peaks(), genome, output="peak_embedding")


def test_names_of_cells_that_are_names_of_deviations_are_refused_in_a_table(genome, tmp_path):
    cells = toy.toy_cells(2).set_index(pd.Index(["a", "a_std"]))
    folders = [toy.toy_package(tmp_path / f"{seed}", 2, seed=seed, cells=cells).folder for seed in (0, 1)]
    with pytest.raises(sz.InputError, match="'a_std' is the name of a cell or group, and of a column of standard deviations"):
        sz.predict(folders, toy.toy_peaks(), genome, out=tmp_path / "p.parquet", device="cpu")
