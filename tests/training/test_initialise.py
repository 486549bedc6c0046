"""A fit that starts from a package predicts at first what the package predicts, for the cells and batches that it has."""

import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from helpers.prepared_peaks import rewritten
from helpers.tiny_fits import TINY

import scbasset_zoo as sz
from scbasset_zoo.inputs import dna
from scbasset_zoo.training.batches import read_batches
from scbasset_zoo.training.dataset import open_prepared
from scbasset_zoo.training.fit import Fit
from scbasset_zoo.training.train_options import TrainingOptions

# Batch normalisation is unfolded with moving statistics in float32, which rounds each layer again.
TOLERANCE = 1e-5
OPTIONS = {name: value for name, value in TINY.items() if name != "quiet"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """60 cells in two batches x about 240 peaks."""
    folder = tmp_path_factory.mktemp("data")
    simulation = sz.simulate(folder / "simulated", n_cells=60, n_peaks=240, n_types=3, n_batches=2, density=0.2, quiet=True)
    return sz.prepare(
        simulation.matrix, genome=simulation.genome, assembly="simulated", out=folder / "prepared", split="70/15/15", quiet=True
    )


@pytest.fixture(scope="module")
def package(prepared, tmp_path_factory):
    """A batch-corrected package that was fitted to these cells for an epoch."""
    folder = tmp_path_factory.mktemp("package")
    run = sz.train(prepared.folder, out=folder / "run", epochs=1, batch_key="batch", **TINY)
    return sz.export(run.folder, out=folder / "package", about={"id": "lab/blood", "version": "1.2.0"})


def edited(prepared, folder, edit):
    """Return a prepared peak set whose table of cells `edit` has changed."""

    def write(file):
        edit(pd.read_parquet(file).set_index("barcode")).reset_index().to_parquet(file)

    return open_prepared(rewritten(prepared, folder, "cells.parquet", write))


def renamed(cells, *rows):
    """Return cells of which some have another barcode."""
    names = cells.index.to_numpy(dtype=object).copy()
    names[list(rows)] = [f"new-{row}" for row in rows]
    return cells.set_axis(pd.Index(names, name=cells.index.name))


def started_from(package, prepared, **options):
    options = TrainingOptions(init_from=str(package.folder), **OPTIONS, **options)
    return Fit(prepared, options, read_batches(prepared.cells, options.batch_key, prepared.folder))


def first_logits(fit, prepared, rows):
    return fit.network(dna.one_hot(windows(prepared, rows)), training=False).numpy()


def windows(prepared, rows):
    return prepared.sequences[rows][:, prepared.flank : prepared.flank + prepared.sequence_length]


def test_the_first_predictions_are_those_of_the_package_without_batch_effects(prepared, package, capsys):
    fit = started_from(package, prepared)
    assert "trunk from lab/blood 1.2.0; all 60 cells start from its weights" in capsys.readouterr().err
    rows = prepared.rows("test")
    model = sz.open_model(package.folder, device="cpu")
    expected = model.logits(windows(prepared, rows))
    np.testing.assert_allclose(first_logits(fit, prepared, rows), expected, atol=TOLERANCE)
    kernel, bias = np.asarray(fit.network.cell_head.kernel), np.asarray(fit.network.cell_head.bias)
    np.testing.assert_array_equal(kernel.T, model.cell_embedding)
    np.testing.assert_array_equal(bias, model.cell_intercept)


def test_nothing_waits_for_an_input_pipeline_of_tensorflow(prepared, package, monkeypatch):
    """The thread that tunes its buffers may sleep on at the end of an epoch, for as long as the epoch took."""
    monkeypatch.setattr(tf.data.Dataset, "__iter__", lambda self: pytest.fail("an input pipeline was opened"))
    fit = started_from(package, prepared)
    losses = [loss for _, loss in fit.epoch()]
    assert len(losses) == fit.n_steps
    assert np.isfinite(fit.end_epoch()["validation_loss"])


def test_cells_are_matched_by_barcode_and_others_start_at_random(prepared, package, tmp_path, capsys):
    order = np.random.default_rng(3).permutation(60)
    other = edited(prepared, tmp_path / "other", lambda cells: renamed(cells.set_axis(cells.index[order]), 0, 5))
    fit = started_from(package, other)
    assert "58 of 60 cells start from its weights, the other 2 at random" in capsys.readouterr().err
    model, random = sz.open_model(package.folder, device="cpu"), Fit(other, TrainingOptions(**OPTIONS), None)
    kernel, bias = np.asarray(fit.network.cell_head.kernel), np.asarray(fit.network.cell_head.bias)
    is_random = np.isin(np.arange(60), [0, 5])
    np.testing.assert_array_equal(kernel.T[~is_random], model.cell_embedding[order[~is_random]])
    np.testing.assert_array_equal(bias[~is_random], model.cell_intercept[order[~is_random]])
    np.testing.assert_array_equal(kernel[:, is_random], np.asarray(random.network.cell_head.kernel)[:, is_random])
    np.testing.assert_array_equal(bias[is_random], 0)
    assert fit.initialised_from == {
        "id": "lab/blood",
        "version": "1.2.0",
        "card_sha256": package.card_sha256,
        "n_cells": 58,
        "n_batches": 0,
    }


def test_no_common_cell_is_said(prepared, package, tmp_path, capsys):
    fit = started_from(package, edited(prepared, tmp_path / "other", lambda cells: renamed(cells, *range(60))))
    assert "none of the 60 cells has a barcode of this model, so their weights start at random" in capsys.readouterr().err
    assert fit.initialised_from["n_cells"] == 0


def test_a_batch_corrected_fit_starts_from_the_batches_of_the_same_name(prepared, package, capsys):
    fit = started_from(package, prepared, batch_key="batch")
    assert "all 60 cells start from its weights; 2 of 2 batches start from its weights" in capsys.readouterr().err
    rows = prepared.rows("test")
    expected = sz.open_model(package.folder, device="cpu").logits(windows(prepared, rows), batch_effects=True)
    np.testing.assert_allclose(first_logits(fit, prepared, rows), expected, atol=TOLERANCE)


def test_batches_of_another_name_start_at_random(prepared, package, tmp_path, capsys):
    batch = prepared.cells["batch"].astype(str).to_numpy()
    names = sorted(set(batch))
    # The kept name sorts after the new one, so that its position is another one than in the package.
    other = edited(prepared, tmp_path / "other", lambda cells: cells.assign(batch=np.where(batch == names[0], names[0], "a")))
    fit = started_from(package, other, batch_key="batch")
    assert "1 of 2 batches start from its weights" in capsys.readouterr().err
    path = sz.open_model(package.folder, device="cpu").batches
    kernel = np.asarray(fit.network.batch_head.kernel)
    here = sorted(["a", names[0]]).index(names[0])
    np.testing.assert_array_equal(kernel[:, here], path.embedding[:, 0])
    assert not np.isin(kernel[:, 1 - here], path.embedding).any()


def test_run_and_card_name_the_package(prepared, package, tmp_path):
    options = {"init_from": str(package.folder), "freeze_trunk": True, **TINY}
    run = sz.train(prepared.folder, out=tmp_path / "run", epochs=1, **options)
    recorded = json.loads((run.folder / "run.json").read_text())["initialised_from"]
    assert (recorded["id"], recorded["version"], recorded["card_sha256"]) == ("lab/blood", "1.2.0", package.card_sha256)
    sz.train(prepared.folder, out=run.folder, resume=True, epochs=2, quiet=True)
    card = sz.export(run.folder, out=tmp_path / "again").card
    expected = f"lab/blood 1.2.0 (SHA-256 of its card.yaml: {package.card_sha256}), 60 cells"
    assert card.training.hyperparameters["init_from"] == expected
