"""Training learns, stops, is interrupted and resumed without a difference, and refuses wrong options."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from helpers.prepared_peaks import rewritten
from helpers.tiny_fits import TINY
from scipy import sparse

import scbasset_zoo as sz
from scbasset_zoo.errors import InputError, TrainingError
from scbasset_zoo.files import sha256
from scbasset_zoo.training.checkpoint import read_arrays, write_arrays
from scbasset_zoo.training.run_folder import read_history, read_record, write_record


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """60 cells in two batches x about 240 peaks."""
    folder = tmp_path_factory.mktemp("data")
    simulation = sz.simulate(folder / "simulated", n_cells=60, n_peaks=240, n_types=3, n_batches=2, density=0.2, quiet=True)
    return sz.prepare(
        simulation.matrix,
        genome=simulation.genome,
        assembly="simulated",
        out=folder / "prepared",
        split="70/15/15",
        quiet=True,
    )


@pytest.fixture(scope="module")
def uninterrupted(prepared, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    return sz.train(prepared.folder, out=out, epochs=4, **TINY)


@pytest.fixture(scope="module")
def first_epoch(prepared, tmp_path_factory):
    return sz.train(prepared.folder, out=tmp_path_factory.mktemp("runs") / "first", epochs=1, **TINY)


def weights(run):
    return read_arrays(run.folder / "checkpoint.npz")[0]


def assert_same_end(run, other):
    ours, theirs = weights(run), weights(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    columns = ["epoch", "loss", "auroc", "validation_loss", "validation_auroc"]
    pd.testing.assert_frame_equal(run.history[columns], other.history[columns])


def edited(prepared, folder, change):
    """A copy of the prepared peaks whose cells are changed, with a manifest that fits."""
    return rewritten(prepared, folder, "cells.parquet", lambda file: change(pd.read_parquet(file)).to_parquet(file))


def command(*words):
    return [sys.executable, "-m", "scbasset_zoo.cli.main", "train", *map(str, words)]


def test_a_run_leaves_history_checkpoint_best_weights_and_plot(uninterrupted):
    assert uninterrupted.status == "finished"
    assert uninterrupted.stopped_because == "4 epochs were done"
    assert uninterrupted.history["epoch"].tolist() == [1, 2, 3, 4]
    assert uninterrupted.history["loss"].is_monotonic_decreasing
    names = {path.name for path in uninterrupted.folder.iterdir()}
    assert names == {
        "run.json",
        "checkpoint.npz",
        "best.npz",
        "history.csv",
        "cells.parquet",
        "peaks.parquet",
        "training.png",
    }
    assert (uninterrupted.folder / "training.png").read_bytes().startswith(b"\x89PNG")
    _, best = read_arrays(uninterrupted.folder / "best.npz")
    assert best["epoch"] == uninterrupted.history.set_index("epoch")["auroc"].idxmax()


def test_a_run_that_is_stopped_between_epochs_and_resumed_ends_identical(prepared, uninterrupted, first_epoch, tmp_path):
    folder = shutil.copytree(first_epoch.folder, tmp_path / "run")
    resumed = sz.train(prepared.folder, out=folder, resume=True, epochs=4, quiet=True)
    assert_same_end(resumed, uninterrupted)


@pytest.fixture
def small_blocks(monkeypatch):
    """Train in blocks of 7 cells, as with hundreds of thousands of cells."""
    from scbasset_zoo.training import many_cells, replica

    monkeypatch.setattr(replica, "pays", lambda n_peaks, n_cells: True)
    monkeypatch.setattr(many_cells, "cells_in_block", lambda n_peaks, n_cells: 7)


def test_training_in_blocks_of_cells_is_that_of_all_cells_up_to_rounding(prepared, first_epoch, small_blocks, tmp_path):
    blocks = sz.train(prepared.folder, out=tmp_path / "run", epochs=1, **TINY)
    # The steps of an epoch make rounding larger. One step is compared to 1e-5 in test_head_in_blocks.
    np.testing.assert_allclose(blocks.history["loss"], first_epoch.history["loss"], rtol=1e-3)
    np.testing.assert_allclose(blocks.history["validation_loss"], first_epoch.history["validation_loss"], rtol=1e-3)
    ours, theirs = weights(blocks), weights(first_epoch)
    assert {name: array.shape for name, array in ours.items()} == {name: array.shape for name, array in theirs.items()}
    kernel = "weight/scbasset/cell_head/kernel"
    assert np.corrcoef(ours[kernel].ravel(), theirs[kernel].ravel())[0, 1] > 0.999


@pytest.mark.parametrize(
    "drawn",
    [{}, {"cells_per_step": 20, "batch_key": "batch", "l2_cell": 0.001}, {"cells_per_step": 20, "accumulate": 3, "warmup": 4}],
)
def test_training_on_many_cells_resumes_in_the_middle_of_an_epoch_identically(prepared, small_blocks, tmp_path, drawn):
    from scbasset_zoo.training.batches import read_batches
    from scbasset_zoo.training.fit import Fit
    from scbasset_zoo.training.process_settings import standard_settings
    from scbasset_zoo.training.train_options import TrainingOptions

    options = TrainingOptions(**{name: value for name, value in TINY.items() if name != "quiet"}, **drawn).for_cells(60)
    batches = read_batches(prepared.cells, options.batch_key, prepared.folder)

    def fit_to_the_end(fit):
        for _ in fit.epoch():
            pass
        return fit.end_epoch(), fit.snapshot()

    with standard_settings():
        whole = Fit(prepared, options, batches)
        steps = whole.epoch()
        next(steps), next(steps)
        arrays, state = whole.snapshot()
        assert state["step"] == 2
        resumed = Fit(prepared, options, batches, resumed=True)
        resumed.restore(arrays, state)
        (row, (end, _)), (other_row, (other_end, _)) = map(fit_to_the_end, (whole, resumed))
    assert row == other_row
    assert end.keys() == other_end.keys()
    for name in end:
        np.testing.assert_array_equal(end[name], other_end[name], err_msg=name)


def test_a_step_on_drawn_cells_leaves_the_others_and_the_package_has_all(prepared, tmp_path):
    options = {**TINY, "batch_size": 1000, "cells_per_step": 20}
    run = sz.train(prepared.folder, out=tmp_path / "run", epochs=1, **options)
    arrays = weights(run)
    is_drawn = arrays["optimizer/adam/n_draws"] == 1
    assert is_drawn.sum() == 20
    momentum = arrays["optimizer/adam/scbasset_cell_head_kernel_momentum"]
    assert momentum.shape == (6, 60)
    np.testing.assert_array_equal(momentum.any(axis=0), is_drawn)
    np.testing.assert_array_equal(arrays["weight/scbasset/cell_head/bias"] != 0, is_drawn)
    card = sz.export(run.folder, out=tmp_path / "package").card
    assert card.cells.n_cells == 60
    assert card.training.hyperparameters["cells_per_step"] == 20


def test_a_run_in_parts_of_a_batch_with_warmup_resumes_identically_and_records_both(prepared, tmp_path, capsys):
    options = {"accumulate": 3, "warmup": 8, **TINY}
    whole = sz.train(prepared.folder, out=tmp_path / "whole", epochs=2, **options)
    first = sz.train(prepared.folder, out=tmp_path / "run", epochs=1, **options)
    # 5 steps of the 8 of the warmup.
    said = " ".join(capsys.readouterr().err.split())
    assert "warmup=8 is more than all 5 steps of epochs=1, so the learning rate reaches 0.0063 of 0.01." in said
    assert weights(first)["optimizer/adam/learning_rate"] == pytest.approx(0.01 * 5 / 8)
    resumed = sz.train(prepared.folder, out=tmp_path / "run", resume=True, epochs=2, quiet=True)
    assert weights(resumed)["optimizer/adam/learning_rate"] == np.float32(0.01)
    assert_same_end(resumed, whole)
    assert read_record(resumed.folder)["batch_parts"] == 3
    hyperparameters = sz.export(resumed.folder, out=tmp_path / "package").card.training.hyperparameters
    assert (hyperparameters["accumulate"], hyperparameters["warmup"]) == (3, 8)


def test_a_run_that_was_split_by_itself_stays_so_when_more_memory_is_free(prepared, tmp_path, monkeypatch):
    from scbasset_zoo.training import training_memory

    options = {**TINY, "batch_size": 64}
    with monkeypatch.context() as short:
        short.setattr(training_memory, "available_memory", lambda: 18_000_000)
        first = sz.train(prepared.folder, out=tmp_path / "run", epochs=1, **options)
    assert read_record(first.folder)["batch_parts"] == 2
    assert read_record(first.folder)["options"]["accumulate"] is None
    resumed = sz.train(prepared.folder, out=tmp_path / "run", resume=True, epochs=2, quiet=True)
    assert read_record(resumed.folder)["batch_parts"] == 2
    whole = sz.train(prepared.folder, out=tmp_path / "whole", epochs=2, accumulate=2, **options)
    assert_same_end(resumed, whole)


def test_ctrl_c_in_the_middle_of_an_epoch_leaves_a_checkpoint_and_resuming_ends_identical(prepared, tmp_path):
    # Batches of 2 make epochs of 84 steps, long enough to be hit.
    options = ["--width", "0.03", "--embedding-size", "6", "--precision", "float32", "--batch-size", "2", "--epochs", "2"]
    out = tmp_path / "run"
    process = subprocess.Popen(command(prepared.folder, "--out", out, *options), stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("epoch    1"):
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    message = process.stderr.read()
    assert process.wait() == 130, message
    assert "--resume" in message
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "interrupted"
    assert read_arrays(out / "checkpoint.npz")[1]["step"] > 0, "the interruption fell between epochs"
    resumed = sz.train(prepared.folder, out=out, resume=True, quiet=True)
    whole = sz.train(prepared.folder, out=tmp_path / "whole", epochs=2, **{**TINY, "batch_size": 2})
    assert resumed.status == "finished"
    assert_same_end(resumed, whole)


def test_a_killed_run_resumes_from_its_last_epoch_and_ends_identical(prepared, uninterrupted, tmp_path):
    options = ["--width", "0.03", "--embedding-size", "6", "--precision", "float32", "--batch-size", "32", "--epochs", "1000"]
    process = subprocess.Popen(command(prepared.folder, "--out", tmp_path / "run", *options), stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("epoch    2"):
            process.kill()
            break
    process.communicate()
    n_done = len(read_history(tmp_path / "run"))
    assert n_done > 0
    epochs = max(4, n_done + 1)
    resumed = sz.train(prepared.folder, out=tmp_path / "run", resume=True, epochs=epochs, quiet=True)
    whole = uninterrupted if epochs == 4 else sz.train(prepared.folder, out=tmp_path / "whole", epochs=epochs, **TINY)
    assert_same_end(resumed, whole)


def test_a_run_of_an_earlier_version_resumes(prepared, uninterrupted, tmp_path):
    shutil.copytree(uninterrupted.folder, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    for section in ("options", "architecture"):
        record[section]["bottleneck"] = record[section].pop("embedding_size")
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    assert read_record(tmp_path / "run")["architecture"]["embedding_size"] == TINY["embedding_size"]
    resumed = sz.train(prepared.folder, out=tmp_path / "run", resume=True, epochs=5, quiet=True)
    assert resumed.history["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert "bottleneck" not in read_record(tmp_path / "run")["options"]


def test_training_stops_when_the_auroc_has_not_risen(prepared, tmp_path):
    run = sz.train(prepared.folder, out=tmp_path / "run", patience=1, min_delta=0.5, epochs=50, **TINY)
    assert len(run.history) == 2
    assert "did not rise by 0.5 in 1 epochs" in run.stopped_because


def test_a_loss_that_is_not_finite_stops_with_epoch_and_step_and_keeps_the_checkpoint(prepared, first_epoch, tmp_path):
    shutil.copytree(first_epoch.folder, tmp_path / "run")
    arrays, state = read_arrays(tmp_path / "run" / "checkpoint.npz")
    arrays["weight/scbasset/cell_head/bias"][:] = np.nan
    write_arrays(tmp_path / "run" / "checkpoint.npz", arrays, state)
    before = sha256(tmp_path / "run" / "checkpoint.npz")
    with pytest.raises(TrainingError, match=r"epoch 2, step 1 of \d+.*lower learning_rate"):
        sz.train(prepared.folder, out=tmp_path / "run", resume=True, epochs=3, quiet=True)
    assert sha256(tmp_path / "run" / "checkpoint.npz") == before


def run_that_diverges(prepared, first_epoch, folder):
    """A run with one whole epoch whose second one fails, because run.json is given a learning rate that is far too high."""
    shutil.copytree(first_epoch.folder, folder)
    record = json.loads((folder / "run.json").read_text())
    record["options"]["learning_rate"] = 1e38
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(TrainingError, match=r"The loss became nan in epoch 2, step \d of 5.*export epoch 1") as caught:
        sz.train(prepared.folder, out=folder, resume=True, epochs=3, quiet=True)
    assert "continue from it with resume=True and a lower learning_rate (now 1e+38)" in str(caught.value)


def test_a_run_that_failed_can_be_exported_and_goes_on_with_a_lower_learning_rate(prepared, first_epoch, tmp_path):
    folder = tmp_path / "run"
    run_that_diverges(prepared, first_epoch, folder)
    record = read_record(folder)
    assert (record["status"], record["best_epoch"]) == ("failed", 1)
    assert "epoch 2" in record["stopped_because"]
    assert sz.export(folder, out=tmp_path / "package").card.training.epochs == 1
    with pytest.raises(InputError, match="cannot be resumed with width=0.5"):
        sz.train(prepared.folder, out=folder, resume=True, width=0.5)
    run = sz.train(prepared.folder, out=folder, resume=True, learning_rate=0.001, epochs=3, quiet=True)
    assert (run.status, run.history["epoch"].tolist()) == ("finished", [1, 2, 3])
    assert np.isfinite(run.history).all(axis=None)
    assert weights(run)["optimizer/adam/learning_rate"] == np.float32(0.001)
    (change,) = read_record(folder)["changed_options"]
    assert change == {"option": "learning_rate", "before": 1e38, "after": 0.001, "after_epoch": 1}
    hyperparameters = sz.export(folder, out=tmp_path / "second").card.training.hyperparameters
    assert hyperparameters["learning_rate"] == 0.001
    assert hyperparameters["learning_rate until epoch 1"] == 1e38


def test_weights_that_are_not_finite_after_a_finite_loss_are_not_saved(prepared, tmp_path):
    # One step an epoch: its loss is that of the first weights.
    options = TINY | {"batch_size": 1000, "learning_rate": 3e38}
    with pytest.raises(TrainingError, match=r"in epoch 1.*no checkpoint yet: start again with overwrite=True and a lower"):
        sz.train(prepared.folder, out=tmp_path / "run", **options)
    assert read_record(tmp_path / "run")["status"] == "failed"
    assert not list((tmp_path / "run").glob("*.npz"))


def test_a_validation_loss_that_is_not_finite_ends_the_run(prepared, uninterrupted, tmp_path):
    folder = shutil.copytree(uninterrupted.folder, tmp_path / "run")
    arrays, state = read_arrays(folder / "checkpoint.npz")
    arrays["weight/conv_3_norm/moving_variance"][:] = np.inf  # training does not read it
    write_arrays(folder / "checkpoint.npz", arrays, state)
    before = sha256(folder / "best.npz")
    with pytest.raises(TrainingError, match=r"not finite in epoch 5|validation loss became .* in epoch 5"):
        sz.train(prepared.folder, out=folder, resume=True, epochs=6, quiet=True)
    assert sha256(folder / "best.npz") == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, s: a.update({"weight/conv_0/kernel": np.zeros(3)}), r"do not fit .*found it of type float64 and shape \(3,\)"),
        (lambda a, s: s.pop("epoch"), "does not give epoch"),
        (lambda a, s: s.update(run="another"), "belongs to another run"),
        (lambda a, s: s.update(epoch=9), r"history\.csv ends at epoch 4, but checkpoint\.npz is of epoch 9"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(prepared, uninterrupted, tmp_path, change, message):
    folder = shutil.copytree(uninterrupted.folder, tmp_path / "run")
    arrays, state = read_arrays(folder / "checkpoint.npz")
    change(arrays, state)
    write_arrays(folder / "checkpoint.npz", arrays, state)
    with pytest.raises(InputError, match=message):
        sz.train(prepared.folder, out=folder, resume=True, epochs=10, quiet=True)
    assert read_record(folder)["status"] == "finished"


def test_a_run_goes_on_without_its_history_and_in_its_precision(prepared, uninterrupted, tmp_path, monkeypatch, capsys):
    from scbasset_zoo.training import precision

    folder = shutil.copytree(uninterrupted.folder, tmp_path / "run")
    (folder / "history.csv").unlink()
    record = read_record(folder)
    record["options"]["precision"] = "auto"
    write_record(folder, record)
    # As on another processor than that of the first epochs, which trained in float32.
    monkeypatch.setattr(precision, "bfloat16_instructions", lambda: "amx_bf16")
    run = sz.train(prepared.folder, out=folder, resume=True, epochs=5, quiet=True)
    assert "has no history.csv: the rows of the first 4 epochs are missing" in capsys.readouterr().err
    assert run.history["epoch"].tolist() == [5]
    record = read_record(folder)
    assert (record["precision"], record["options"]["precision"]) == ("float32", "auto")


def test_data_that_changes_during_the_training_ends_it(prepared, tmp_path, monkeypatch):
    from scbasset_zoo.training.fit import Fit

    folder = shutil.copytree(prepared.folder, tmp_path / "prepared")
    end_epoch = Fit.end_epoch

    def change_data(fit):
        with open(folder / "sequences.npy", "r+b") as file:
            file.seek(500)
            file.write(b"\2")
        return end_epoch(fit)

    monkeypatch.setattr(Fit, "end_epoch", change_data)
    with pytest.raises(InputError, match=r"sequences\.npy was changed while it was in use"):
        sz.train(folder, out=tmp_path / "run", **TINY)
    assert read_record(tmp_path / "run")["status"] == "failed"


@pytest.fixture
def labelled(toy_matrix, toy_fasta, tmp_path):
    """Function (change) that prepares the toy matrix after `change(labels, splits)`; labels are cells x peaks."""

    def make(change):
        matrix = toy_matrix(n_cells=6)
        labels = matrix.X.toarray()
        splits = np.resize(["train"] * 4 + ["validation", "test"], 60)
        change(labels, splits)
        matrix.X, matrix.var["split"] = sparse.csr_matrix(labels), splits
        return sz.prepare(
            matrix, genome=toy_fasta, assembly="toy", out=tmp_path / "prepared", split_column="split", min_cell_fraction=0,
            max_n_fraction=1, quiet=True,
        ).folder  # fmt: skip

    return make


def test_cells_without_an_auroc_are_left_out_of_the_mean_and_counted(labelled, tmp_path, capsys):
    def open_everywhere(labels, splits):
        labels[0] = 1
        labels[:, splits == "validation"] = 1
        labels[1:, splits == "test"] = np.eye(5)[:, np.arange(10) % 5]

    run = sz.train(labelled(open_everywhere), out=tmp_path / "run", epochs=1, **TINY)
    said = capsys.readouterr().err
    assert "The training AUROC is the mean over 5 of 6 cells; in the others, all 40 training peaks are open, or none is." in said
    assert "The validation AUROC cannot be computed and is NaN: in each cell, all 10 validation peaks are open" in said
    assert read_record(run.folder)["n_auroc_cells"] == {"train": 5, "validation": 0}
    assert run.status == "finished"
    assert np.isfinite(run.history["auroc"]).all()
    assert run.history["validation_auroc"].isna().all()
    card = sz.export(run.folder, out=tmp_path / "package").card
    assert "The validation AUROC and AUPR per cell cannot be computed" in capsys.readouterr().err
    rows = {(row.metric, row.split): row for row in card.evaluation}
    assert ("AUROC per cell, mean", "validation") not in rows
    assert rows["AUROC per cell, mean", "test"].n == 5
    assert "without 1 of 6 cells, in which all test peaks are open or none is" in rows["AUROC per cell, mean", "test"].note


def test_without_test_peaks_the_validation_peaks_are_scored_and_the_card_says_so(labelled, tmp_path, capsys):
    def no_test(labels, splits):
        splits[splits == "test"] = "validation"

    run = sz.train(labelled(no_test), out=tmp_path / "run", epochs=1, **TINY)
    package = sz.export(run.folder, out=tmp_path / "package")
    assert "There are no test peaks, so no test AUROC or AUPR is computed." in capsys.readouterr().err
    card = package.card
    assert {row.split for row in card.evaluation} == {"validation", "all"}
    assert (card.verdict.split, card.training.split.test) == ("validation", 0)
    assert "no test peaks, so the model was scored on the validation peaks alone" in card.training.split.method
    assert card.tests.n_sequences == 9  # with one of N alone
    assert package.verify() == []


def test_labels_from_which_nothing_can_be_learnt_are_refused_before_training(labelled, tmp_path):
    def open_everywhere(labels, splits):
        labels[:] = 1

    with pytest.raises(InputError, match="no cell has both open and closed peaks among the 40 training peaks"):
        sz.train(labelled(open_everywhere), out=tmp_path / "run", **TINY)
    assert not (tmp_path / "run").exists()


def test_batch_corrected_training_penalises_and_keeps_its_default_penalty_when_it_is_resumed(prepared, tmp_path):
    options = {"batch_key": "batch", **TINY}
    run = sz.train(prepared.folder, out=tmp_path / "run", epochs=1, **options)
    records = [read_record(run.folder)]
    run = sz.train(prepared.folder, out=run.folder, epochs=2, resume=True, **options)
    records.append(read_record(run.folder))
    for record in records:
        assert record["options"]["l2_cell"] == pytest.approx(0.004 / prepared.n_cells)
        assert record["architecture"]["n_batches"] == 2
    strong = sz.train(prepared.folder, out=tmp_path / "strong", epochs=2, l2_cell=0.1, **options)
    norm, smaller = (np.linalg.norm(weights(one)["weight/scbasset/cell_head/kernel"]) for one in (run, strong))
    assert smaller < 0.95 * norm


def test_frozen_trunk_from_a_package_stays_as_it_is(prepared, uninterrupted, tmp_path):
    sz.export(uninterrupted.folder, out=tmp_path / "package")
    options = {"init_from": str(tmp_path / "package"), **TINY}
    frozen = sz.train(prepared.folder, out=tmp_path / "frozen", epochs=2, freeze_trunk=True, **options)
    sz.export(frozen.folder, out=tmp_path / "again")
    sequences = ["".join(np.random.default_rng(0).choice(list("ACGT"), 1344))]
    before, after = (sz.open_model(tmp_path / name, device="cpu") for name in ("package", "again"))
    np.testing.assert_allclose(after.embed(sequences), before.embed(sequences), atol=1e-4)
    assert np.abs(after.cell_embedding - before.cell_embedding).max() > 0.01
    free = sz.train(prepared.folder, out=tmp_path / "free", epochs=1, **options)
    (tmp_path / "package").rename(tmp_path / "elsewhere")
    (free.folder / ".partial-1-checkpoint.npz").write_text("of a killed process")
    assert len(sz.train(prepared.folder, out=free.folder, resume=True, epochs=2, quiet=True).history) == 2
    assert not list(free.folder.glob(".partial-*"))
    assert free.history["loss"].iloc[0] < uninterrupted.history["loss"].iloc[0]


def test_init_from_a_package_of_another_shape_is_refused(prepared, uninterrupted, tmp_path):
    sz.export(uninterrupted.folder, out=tmp_path / "package")
    with pytest.raises(InputError, match="Choose the width, embedding_size"):
        sz.train(prepared.folder, out=tmp_path / "run", init_from=str(tmp_path / "package"), **{**TINY, "embedding_size": 7})
    assert not (tmp_path / "run").exists()


def test_tensorboard_logs_on_request(prepared, tmp_path):
    sz.train(prepared.folder, out=tmp_path / "run", epochs=1, tensorboard=True, **TINY)
    assert list((tmp_path / "run" / "tensorboard").glob("events.out*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_key": "plate"}, "have no such column. They have: .*cell_type"),
        ({"shift": 20}, "flank=20"),
        ({"epochs": 0}, "epochs.*must be at least 1"),
        ({"precision": "float16"}, "precision"),
        ({"learning_rate": float("inf")}, "learning_rate.*finite"),
        ({"learning_rate": float("nan")}, "learning_rate.*finite"),
        ({"l2_batch": 0.1}, "name the batches with batch_key"),
        ({"freeze_trunk": True}, "package with init_from"),
        ({"learning_rat": 0.1}, "learning_rat is not an option; did you mean learning_rate"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(prepared, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        sz.train(prepared.folder, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_batch_column_with_one_value_or_a_missing_one_is_refused(prepared, tmp_path):
    one = edited(prepared, tmp_path / "one", lambda cells: cells.assign(batch="a"))
    with pytest.raises(InputError, match="all cells are of one batch, 'a'"):
        sz.train(one, out=tmp_path / "run", batch_key="batch")

    def forget_one(cells):
        batch = cells["batch"].astype(object)
        batch.iloc[3] = None
        return cells.assign(batch=batch)

    missing = edited(prepared, tmp_path / "missing", forget_one)
    with pytest.raises(InputError, match=r"1 cells have no batch, the first is '.*' \(row 3\)"):
        sz.train(missing, out=tmp_path / "run", batch_key="batch")
    missing = edited(prepared, tmp_path / "blank", lambda cells: cells.assign(batch=[" ", *cells["batch"].astype(str)[1:]]))
    with pytest.raises(InputError, match=r"1 cells have no batch, the first is '.*' \(row 0\)"):
        sz.train(missing, out=tmp_path / "run", batch_key="batch")
    with pytest.raises(InputError, match="60 values for 60 cells.*does not name batches"):
        sz.train(prepared.folder, out=tmp_path / "run", batch_key="depth")
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_overwritten_or_resumed_by_mistake(prepared, uninterrupted, tmp_path):
    with pytest.raises(InputError, match="overwrite=True"):
        sz.train(prepared.folder, out=uninterrupted.folder)
    with pytest.raises(InputError, match="not the folder of a training run"):
        sz.train(prepared.folder, out=tmp_path / "nothing", resume=True)
    with pytest.raises(InputError, match="either resume=True, which goes on with a run, or overwrite=True"):
        sz.train(prepared.folder, out=uninterrupted.folder, resume=True, overwrite=True)
    for width in (0.5, 1.0):
        with pytest.raises(InputError, match="started with width=0.03"):
            sz.train(prepared.folder, out=uninterrupted.folder, resume=True, width=width)
    with pytest.raises(InputError, match="was started without accumulate, so it cannot be resumed with accumulate=2"):
        sz.train(prepared.folder, out=uninterrupted.folder, resume=True, accumulate=2)
    with pytest.raises(InputError, match="is or contains the input"):
        sz.train(prepared.folder, out=prepared.folder, overwrite=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="is not a result of this kind"):
        sz.train(prepared.folder, out=tmp_path / "thesis", overwrite=True)
    other = edited(prepared, tmp_path / "other", lambda cells: cells.assign(more=1))
    with pytest.raises(InputError, match="is not the data"):
        sz.train(other, out=uninterrupted.folder, resume=True)


def test_data_that_is_not_prepared_is_refused(tmp_path):
    with pytest.raises(InputError, match="scbasset-zoo prepare"):
        sz.train(tmp_path, out=tmp_path / "run")


def test_auto_precision_follows_the_processor(monkeypatch):
    from scbasset_zoo.training import precision

    monkeypatch.setattr(precision, "bfloat16_instructions", lambda: "")
    assert precision.resolve_precision("auto")[0] == "float32"
    chosen, reason = precision.resolve_precision("bfloat16")
    assert chosen == "bfloat16"
    assert "float32 is much faster here" in reason
    monkeypatch.setattr(precision, "bfloat16_instructions", lambda: "avx512_bf16")
    assert precision.resolve_precision("auto")[0] == "bfloat16"
    assert precision.resolve_precision("bfloat16") == ("bfloat16", "as requested")
    assert precision.resolve_precision("float32") == ("float32", "as requested")


def test_training_without_tensorflow_says_how_to_install_it(prepared, tmp_path):
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "import scbasset_zoo as sz\n"
        f"sz.train({str(prepared.folder)!r}, out={str(tmp_path / 'run')!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), check=False)
    assert "pip install '.[train]'" in done.stderr
    assert not (tmp_path / "run").exists()
