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
from helpers.tiny_fits import TINY

import scbasset_zoo as sz
from scbasset_zoo.errors import InputError, TrainingError
from scbasset_zoo.files import sha256
from scbasset_zoo.training.checkpoint import read_arrays, write_arrays
from scbasset_zoo.training.run_folder import read_history, read_record


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
    shutil.copytree(prepared.folder, folder)
    cells = pd.read_parquet(folder / "cells.parquet")
    change(cells).to_parquet(folder / "cells.parquet")
    manifest = json.loads((folder / "manifest.json").read_text())
    file = folder / "cells.parquet"
    manifest["files"]["cells.parquet"] = {"bytes": file.stat().st_size, "sha256": sha256(file)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


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


def test_a_run_that_is_stopped_between_epochs_and_resumed_ends_identical(prepared, uninterrupted, tmp_path):
    sz.train(prepared.folder, out=tmp_path / "run", epochs=2, **TINY)
    resumed = sz.train(prepared.folder, out=tmp_path / "run", resume=True, epochs=4, quiet=True)
    assert_same_end(resumed, uninterrupted)


def test_ctrl_c_in_the_middle_of_an_epoch_leaves_a_checkpoint_and_resuming_ends_identical(prepared, tmp_path):
    # Batches of 2 make epochs of 84 steps, long enough to be hit.
    options = ["--width", "0.03", "--embedding-size", "6", "--precision", "float32", "--batch-size", "2", "--epochs", "3"]
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
    whole = sz.train(prepared.folder, out=tmp_path / "whole", epochs=3, **{**TINY, "batch_size": 2})
    assert resumed.status == "finished"
    assert_same_end(resumed, whole)


def test_a_killed_run_resumes_from_its_last_epoch_and_ends_identical(prepared, tmp_path):
    options = ["--width", "0.03", "--embedding-size", "6", "--precision", "float32", "--batch-size", "32", "--epochs", "1000"]
    process = subprocess.Popen(command(prepared.folder, "--out", tmp_path / "run", *options), stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("epoch    2"):
            process.kill()
            break
    process.communicate()
    epochs = len(read_history(tmp_path / "run")) + 1
    assert epochs > 1
    resumed = sz.train(prepared.folder, out=tmp_path / "run", resume=True, epochs=epochs, quiet=True)
    whole = sz.train(prepared.folder, out=tmp_path / "whole", epochs=epochs, **TINY)
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


def test_a_loss_that_is_not_finite_stops_with_epoch_and_step_and_keeps_the_checkpoint(prepared, tmp_path):
    sz.train(prepared.folder, out=tmp_path / "run", epochs=1, **TINY)
    arrays, state = read_arrays(tmp_path / "run" / "checkpoint.npz")
    arrays["weight/scbasset/cell_head/bias"][:] = np.nan
    write_arrays(tmp_path / "run" / "checkpoint.npz", arrays, state)
    before = sha256(tmp_path / "run" / "checkpoint.npz")
    with pytest.raises(TrainingError, match=r"epoch 2, step 1 of \d+.*lower learning_rate"):
        sz.train(prepared.folder, out=tmp_path / "run", resume=True, epochs=3, quiet=True)
    assert sha256(tmp_path / "run" / "checkpoint.npz") == before


def test_batch_corrected_training_records_the_batches_and_penalises(prepared, tmp_path):
    runs = [
        sz.train(prepared.folder, out=tmp_path / f"run{penalty}", epochs=2, batch_key="batch", l2_cell=penalty, **TINY)
        for penalty in (0.0, 0.1)
    ]
    record = json.loads((runs[0].folder / "run.json").read_text())
    assert record["architecture"]["n_batches"] == 2
    norms = [np.linalg.norm(weights(run)["weight/scbasset/cell_head/kernel"]) for run in runs]
    assert norms[1] < 0.95 * norms[0]


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
    scratch = sz.train(prepared.folder, out=tmp_path / "scratch", epochs=1, **TINY)
    assert free.history["loss"].iloc[0] < scratch.history["loss"].iloc[0]


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
        ({"epochs": 0}, "epochs.*greater than or equal to 1"),
        ({"precision": "float16"}, "precision"),
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
    for width in (0.5, 1.0):
        with pytest.raises(InputError, match="started with width=0.03"):
            sz.train(prepared.folder, out=uninterrupted.folder, resume=True, width=width)
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

    monkeypatch.setattr(precision, "_cpu_flags", lambda: {"avx2"})
    assert precision.resolve_precision("auto")[0] == "float32"
    monkeypatch.setattr(precision, "_cpu_flags", lambda: {"avx512_bf16", "avx2"})
    assert precision.resolve_precision("auto")[0] == "bfloat16"
    assert precision.resolve_precision("float32") == ("float32", "as requested")


def test_training_without_tensorflow_says_how_to_install_it(prepared, tmp_path):
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "import scbasset_zoo as sz\n"
        f"sz.train({str(prepared.folder)!r}, out={str(tmp_path / 'run')!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), check=False)
    assert "scbasset-zoo[train]" in done.stderr
    assert not (tmp_path / "run").exists()
