"""An exported package holds what Keras computes, runs without us, and says how good it is."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
import venv

import numpy as np
import onnx
import pandas as pd
import pytest
import yaml
from helpers.rounding import ROUNDING
from helpers.tiny_fits import TINY
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.main import app
from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.inputs import dna
from scbasset_zoo.package.verifying import verify_package
from scbasset_zoo.training.checkpoint import read_arrays, write_arrays
from scbasset_zoo.training.run_folder import read_record


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    simulation = sz.simulate(folder / "simulated", n_cells=40, n_peaks=240, n_types=3, n_batches=2, density=0.2, quiet=True)
    # No peak overlaps it.
    (folder / "blacklist.bed").write_text("chrS1\t0\t1\n")
    options = {"split": "70/15/15", "blacklist": folder / "blacklist.bed", "quiet": True}
    return sz.prepare(simulation.matrix, genome=simulation.genome, assembly="simulated", out=folder / "prepared", **options)


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    return sz.train(prepared.folder, out=tmp_path_factory.mktemp("runs") / "plain", epochs=3, **TINY)


@pytest.fixture(scope="module")
def corrected_run(prepared, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "corrected"
    return sz.train(prepared.folder, out=out, epochs=3, batch_key="batch", l2_cell=1e-4, **TINY)


@pytest.fixture(scope="module")
def package(run, tmp_path_factory):
    return sz.export(run.folder, out=tmp_path_factory.mktemp("packages") / "plain")


def keras_network(run, prepared):
    from scbasset_zoo_export.export import restore_network

    weights, _ = read_arrays(run.folder / "best.npz")
    return restore_network(read_record(run.folder), prepared, weights)


def windows(prepared, split):
    flank = prepared.flank
    return prepared.sequences[prepared.rows(split)][:, flank : flank + prepared.sequence_length]


def run_onnx(package, sequence):
    import onnxruntime

    session = onnxruntime.InferenceSession(package.folder / "model.onnx", providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, {"sequence": sequence}), strict=True))


def test_the_three_outputs_are_those_of_keras(run, prepared, package):
    network = keras_network(run, prepared)
    codes = np.concatenate([windows(prepared, "test"), np.full((1, 1344), dna.N, np.int8)])
    outputs = run_onnx(package, dna.one_hot(codes))
    assert list(outputs) == ["accessibility", "logits", "peak_embedding"]
    logits = network(dna.one_hot(codes)).numpy()
    np.testing.assert_allclose(outputs["peak_embedding"], network.trunk(dna.one_hot(codes)).numpy(), atol=ROUNDING)
    np.testing.assert_allclose(outputs["logits"], logits, atol=ROUNDING)
    np.testing.assert_allclose(outputs["accessibility"], expit(logits), atol=ROUNDING / 4)


def test_logits_are_the_product_of_the_embeddings_and_the_intercept(package, prepared):
    model = onnx.load(package.folder / "model.onnx")
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert weights["cell_embedding"].shape == (6, 40)
    assert weights["cell_intercept"].shape == (40,)
    outputs = run_onnx(package, dna.one_hot(windows(prepared, "test")))
    expected = outputs["peak_embedding"] @ weights["cell_embedding"] + weights["cell_intercept"]
    np.testing.assert_allclose(outputs["logits"], expected, atol=ROUNDING)


def test_the_gauge_is_that_of_the_networks_training_peaks(package, run, prepared):
    network = keras_network(run, prepared)
    embedded = network.trunk(dna.one_hot(windows(prepared, "train"))).numpy().astype(float)
    model = sz.open_model(package.folder, "cpu")
    np.testing.assert_allclose(model.gauge.mean, embedded.mean(axis=0), atol=ROUNDING)
    np.testing.assert_allclose(model.gauge.covariance, np.cov(embedded.T, ddof=0), atol=ROUNDING)
    assert package.card.gauge.n_peaks == len(embedded) == len(prepared.rows("train"))
    logits = embedded @ model.cell_embedding.T + model.cell_intercept
    np.testing.assert_allclose(model.depth, logits.mean(axis=0), atol=ROUNDING)
    n_open = np.log(prepared.cells["n_open_peaks"].to_numpy())
    rows = {row.metric: row.value for row in package.card.evaluation}
    assert rows["Pearson r of cell depth and log depth"] == pytest.approx(np.corrcoef(n_open, model.depth)[0, 1], abs=1e-4)


def test_training_only_layers_are_gone_and_operators_are_standard(package):
    model = onnx.load(package.folder / "model.onnx")
    operators = {node.op_type for node in model.graph.node if not node.name.endswith("_kept")}
    assert operators <= {"Unsqueeze", "Mul", "Sigmoid", "Transpose", "Conv", "MaxPool", "Reshape", "MatMul", "Add"}
    assert {node.domain for node in model.graph.node} == {""}
    assert model.producer_version == importlib.metadata.version("tf2onnx")


def test_the_package_verifies_and_keeps_all_cells_and_peaks(package, prepared):
    assert verify_package(package.folder) == []
    pd.testing.assert_frame_equal(package.cells(), prepared.cells, check_dtype=False, check_names=False, check_categorical=False)
    assert package.peaks()[["chrom", "start", "end", "split"]].equals(prepared.peaks[["chrom", "start", "end", "split"]])


def test_evaluation_on_held_out_peaks_is_scikit_learns(package, prepared):
    evaluation = {(row.metric, row.split): row for row in package.card.evaluation}
    for split in ("validation", "test"):
        scores = run_onnx(package, dna.one_hot(windows(prepared, split)))["accessibility"]
        labels = prepared.labels(prepared.rows(split)).toarray()
        for unit, axis in (("cell", 1), ("peak", 0)):
            for metric, function in (("AUROC", roc_auc_score), ("AUPR", average_precision_score)):
                pairs = [(labels.take(i, axis), scores.take(i, axis)) for i in range(labels.shape[axis])]
                values = [function(label, score) for label, score in pairs if 0 < label.sum() < len(label)]
                row = evaluation[f"{metric} per {unit}, mean", split]
                # Rounding may swap two peaks whose scores nearly tie. A swap changes the AUROC of one of 40 cells by 0.005 or less.
                assert row.value == pytest.approx(np.mean(values), abs=5e-4)
                assert row.n == len(values)
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(package.folder / "model.onnx").graph.initializer}
    expected = np.corrcoef(weights["cell_intercept"], np.log(prepared.cells["n_open_peaks"]))[0, 1]
    assert evaluation["Pearson r of cell intercept and log depth", "all"].value == pytest.approx(expected, abs=1e-6)


def test_the_card_says_how_it_was_made(package, run):
    card = package.card
    assert card.training.epochs == int(run.history["auroc"].argmax()) + 1
    assert card.training.hyperparameters["width"] == 0.03
    assert card.training.stopped_because == "3 epochs were done"
    assert card.training.split.train + card.training.split.validation + card.training.split.test == card.peaks.n_peaks
    assert card.cells.default_group == "cell_type"
    assert card.genome.assembly == "simulated"
    assert {source.name for source in card.training.sources} == {"matrix.h5ad", "genome.fa", "blacklist.bed"}
    assert str(run.folder) not in (package.folder / "card.yaml").read_text()


def test_batch_corrected_packages_keep_the_batch_path_apart_and_evaluate_with_it(corrected_run, prepared, tmp_path):
    package = sz.export(corrected_run.folder, out=tmp_path / "package")
    network = keras_network(corrected_run, prepared)
    sequence = dna.one_hot(windows(prepared, "test"))
    z = network.trunk(sequence).numpy()
    outputs = run_onnx(package, sequence)
    np.testing.assert_allclose(outputs["logits"], network.cell_head(z).numpy(), atol=ROUNDING)
    np.testing.assert_allclose(outputs["batch_logits"], network(sequence).numpy(), atol=ROUNDING)
    labels = prepared.labels(prepared.rows("test")).toarray()
    scores = network(sequence).numpy()
    cells = [c for c in range(40) if 0 < labels[:, c].sum() < len(labels)]
    expected = np.mean([roc_auc_score(labels[:, c], scores[:, c]) for c in cells])
    row = next(e for e in package.card.evaluation if e.metric == "AUROC per cell, mean" and e.split == "test")
    assert row.value == pytest.approx(expected, abs=5e-4)
    assert "with the batch path" in row.note
    assert package.card.batch_correction.column == "batch"
    assert package.card.batch_correction.l2_cell == 1e-4


def test_a_graph_that_differs_from_keras_is_not_written(run, prepared, tmp_path, monkeypatch):
    from scbasset_zoo_export import onnx_graph

    true_fold = onnx_graph._fold

    def wrong_fold(layer, norm):
        kernel, bias = true_fold(layer, norm)
        return kernel, bias + (0.1 if layer.name == "conv_3" else 0)

    monkeypatch.setattr(onnx_graph, "_fold", wrong_fold)
    with pytest.raises(PackageError, match="Keras and ONNX Runtime differ by .* in probability"):
        sz.export(run.folder, out=tmp_path / "package")
    assert list(tmp_path.iterdir()) == []


def test_logits_with_large_terms_may_differ_by_more_because_rounding_grows_with_the_terms(run, prepared, capsys):
    from scbasset_zoo_export.agreement import check_agreement
    from scbasset_zoo_export.onnx_graph import to_onnx

    network = keras_network(run, prepared)
    network.cell_head.kernel.assign(network.cell_head.kernel * 100)
    codes = np.random.default_rng(0).integers(0, 4, (16, prepared.sequence_length), dtype=np.int8)
    model = to_onnx(network)
    check_agreement(network, model.SerializeToString(), codes)
    assert "agree to" in capsys.readouterr().err
    network.cell_head.bias.assign_add(np.full(40, 0.01, np.float32))
    with pytest.raises(PackageError, match="Keras and ONNX Runtime differ by .* in probability"):
        check_agreement(network, model.SerializeToString(), codes)


def test_fields_of_about_go_into_the_card(run, tmp_path):
    about = {"id": "scbasset/mine", "version": "2.1.0", "license": "MIT", "authors": [{"name": "A. Author"}]}
    (tmp_path / "about.yaml").write_text(yaml.safe_dump(about))
    card = sz.export(run.folder, out=tmp_path / "package", about=tmp_path / "about.yaml").card
    assert (card.id, card.version, card.license, card.authors[0].name) == ("scbasset/mine", "2.1.0", "MIT", "A. Author")


def test_wrong_arguments_are_refused_and_leave_nothing(run, prepared, package, tmp_path):
    with pytest.raises(InputError, match="overwrite=True"):
        sz.export(run.folder, out=package.folder)
    with pytest.raises(InputError, match="not the folder of a training run"):
        sz.export(package.folder, out=tmp_path / "package")
    with pytest.raises(PackageError, match=r"license.*SPDX"):
        sz.export(run.folder, out=tmp_path / "package", about={"license": "my own"})
    with pytest.raises(InputError, match="about: leave out training"):
        sz.export(run.folder, out=tmp_path / "package", about={"training": {}})
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(InputError, match="mapping of card fields"):
        sz.export(run.folder, out=tmp_path / "package", about=tmp_path / "list.yaml")
    moved = tmp_path / "moved"
    shutil.copytree(run.folder, moved)
    record = json.loads((moved / "run.json").read_text())
    record["data"]["folder"] = str(tmp_path / "gone")
    (moved / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="where it is with data"):
        sz.export(moved, out=tmp_path / "package")
    assert not (tmp_path / "package").exists()
    assert sz.export(moved, out=tmp_path / "package", data=prepared.folder).card.cells.n_cells == 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays, state: arrays["weight/conv_2/kernel"].fill(np.nan), "not finite \\(weight/conv_2/kernel\\)"),
        (lambda arrays, state: arrays.update({"weight/conv_2/kernel": np.zeros(2)}), "do not fit the network"),
        (lambda arrays, state: state.update(run="another"), "best.npz belongs to another run"),
        (lambda arrays, state: state.clear(), "does not give epoch"),
    ],
)
def test_weights_that_are_no_model_of_this_run_are_refused_and_leave_nothing(run, tmp_path, change, message):
    folder = shutil.copytree(run.folder, tmp_path / "run")
    arrays, state = read_arrays(folder / "best.npz")
    change(arrays, state)
    write_arrays(folder / "best.npz", arrays, state)
    with pytest.raises(InputError, match=message):
        sz.export(folder, out=tmp_path / "package")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_data_that_changed_since_the_training_is_refused(run, prepared, tmp_path):
    data = shutil.copytree(prepared.folder, tmp_path / "data")
    with open(data / "sequences.npy", "r+b") as file:
        file.seek(5_000)
        base = file.read(1)
        file.seek(5_000)
        file.write(b"\1" if base == b"\0" else b"\0")
    with pytest.raises(InputError, match=r"sequences\.npy was changed or damaged after it was prepared"):
        sz.export(run.folder, out=tmp_path / "package", data=data)


def test_a_run_without_a_finished_epoch_cannot_be_exported(run, tmp_path):
    unfinished = tmp_path / "run"
    shutil.copytree(run.folder, unfinished)
    (unfinished / "best.npz").unlink()
    with pytest.raises(InputError, match="this run has finished no epoch"):
        sz.export(unfinished, out=tmp_path / "package")


def test_the_model_runs_in_an_environment_with_onnxruntime_alone(package, prepared, tmp_path):
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "onnxruntime"], check=True)
    sequence = dna.one_hot(windows(prepared, "test")[:3])
    np.save(tmp_path / "sequence.npy", sequence)
    code = """
import sys, numpy, onnxruntime
for name in ("scbasset_zoo", "tensorflow", "kipoi", "keras"):
    try:
        __import__(name)
    except ImportError:
        continue
    sys.exit(f"{name} is installed")
model, sequence, out = sys.argv[1:]
session = onnxruntime.InferenceSession(model)
accessibility, logits, peak_embedding = session.run(None, {"sequence": numpy.load(sequence)})
numpy.savez(out, accessibility=accessibility, logits=logits, peak_embedding=peak_embedding)
"""
    arguments = [package.folder / "model.onnx", tmp_path / "sequence.npy", tmp_path / "out.npz"]
    subprocess.run([python, "-I", "-c", code, *map(str, arguments)], check=True, cwd=tmp_path)
    expected = run_onnx(package, sequence)
    with np.load(tmp_path / "out.npz") as outputs:
        for name in ("accessibility", "logits", "peak_embedding"):
            np.testing.assert_allclose(outputs[name], expected[name], atol=ROUNDING)


def test_exporting_from_the_command_line_names_the_next_step(run, tmp_path):
    arguments = ["export", str(run.folder), "--out", str(tmp_path / "package")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "AUROC per cell, mean" in done.stdout
    assert f"scbasset-zoo predict {tmp_path / 'package'}" in done.stdout
    command = [sys.executable, "-m", "scbasset_zoo.cli.main", *arguments]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert again.stderr.startswith("error:")
    assert "Traceback" not in again.stderr


RUN_DAMAGE = {
    "run.json": [b"{", b"[]", b"\xff\xfe", b'{"status": "finished"}', b'{"data": ' + b"[" * 5_000],
    "best.npz": [b"", b"PK\x03\x04", b"\x93NUMPY"],
    "checkpoint.npz": [b"", b"PK\x03\x04", b"\x93NUMPY"],
    "history.csv": [b"", b"\0\1\xff", b"epoch\n1\n", b"a,b\n1,2,3\n"],
}


@pytest.mark.parametrize(("name", "content"), [(name, content) for name, contents in RUN_DAMAGE.items() for content in contents])
def test_a_damaged_run_is_one_message_on_the_command_line(run, prepared, tmp_path, name, content):
    folder = shutil.copytree(run.folder, tmp_path / "run")
    (folder / name).write_bytes(content)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    commands = []
    if name in ("run.json", "best.npz"):
        commands.append(["export", str(folder), "--out", str(tmp_path / "package")])
    if name != "best.npz":
        commands.append(["train", str(prepared.folder), "--out", str(folder), "--resume", "--epochs", "9"])
    for command in commands:
        done = CliRunner().invoke(app, command)
        assert isinstance(done.exception, InputError), done.exception
        assert name in str(done.exception)
    assert not (tmp_path / "package").exists()
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    "change", [{"n_cells": 10**12}, {"embedding_size": 10**9}, {"width": 1e9}, {"sequence_length": 10**9}, {"n_batches": 2}]
)
def test_sizes_of_a_network_that_are_not_those_of_options_and_data_are_damage(run, tmp_path, change):
    """A network of such sizes would fill the memory."""
    folder = shutil.copytree(run.folder, tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    record["architecture"].update(change)
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="run.json is damaged: its architecture is"):
        sz.export(folder, out=tmp_path / "package")


def test_a_record_without_fields_that_have_defaults_is_exported(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    del record["stopped_because"], record["options"]["batch_key"], record["options"]["init_from"]
    (folder / "run.json").write_text(json.dumps(record))
    assert sz.export(folder, out=tmp_path / "package").verify() == []
