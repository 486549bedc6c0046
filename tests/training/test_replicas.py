"""Several devices share each batch: the weights of one device, interruptions, workers that end, and what is refused."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import scbasset_zoo as sz
from scbasset_zoo.errors import TrainingError
from scbasset_zoo.files import hold
from scbasset_zoo.training.checkpoint import read_arrays
from scbasset_zoo.training.cluster import is_other_worker, slurm_tasks
from scbasset_zoo.training.tensorflow_setup import require_tensorflow

require_tensorflow()

from scbasset_zoo.training.replicas import chosen  # noqa: E402

OPTIONS = {"width": 0.05, "batch_size": 21, "epochs": 2, "precision": "float32", "embedding_size": 8, "learning_rate": 3e-3}
# Of the mean gradients in Adam's state after two epochs, as a norm relative to theirs. Measured: 4e-5 to 3e-4; after one step 8e-4
# to 5e-3, because in a window of a max pool with two nearly equal values the other one may be taken. With batches in parts it was
# 0.09. This is rounding: on one device, initial weights that differ by 3e-7 of their size change them by 0.01 to 0.03, and by 0.09
# to 0.10 with batches in parts. Statistics of half a batch give 1.3.
TOLERANCE, TOLERANCE_IN_PARTS = 0.05, 0.2
SLURM = {
    "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_STEP_NODELIST": "n[9-10]", "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    "SLURM_JOB_ID": "1234567",
}  # fmt: skip
TRAIN = """
import json, sys
import tensorflow as tf
prepared, out, n_devices, options = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
if n_devices > 1:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * n_devices)
import scbasset_zoo as sz
try:
    sz.train(prepared, out=out, **options)
except sz.ScbassetZooError as error:
    sys.exit(f"error: {error}")
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    simulation = sz.simulate(folder / "simulated", n_cells=60, n_peaks=120, n_batches=2, quiet=True)
    matrix = simulation.matrix
    return sz.prepare(
        matrix, genome=simulation.genome, assembly="simulated", out=folder / "prepared", min_cell_fraction=0, quiet=True
    ).folder


def start(prepared, out, n_devices=1, environment=None, **options):
    """Start training in a process of its own."""
    arguments = [str(prepared), str(out), str(n_devices), json.dumps({**OPTIONS, **options})]
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, *arguments],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def start_workers(prepared, out, n=2, of_last=None, out_of_last=None, **options):
    """Start workers; the last one may have options and a folder of its own."""
    ports = []
    for _ in range(n):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            ports.append(free.getsockname()[1])
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    return [
        start(
            prepared, (is_last and out_of_last) or out,
            **{"strategy": "multiworker", **options, **((is_last and of_last) or {})},
            environment={"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})},
        )
        for index, is_last in enumerate([False] * (n - 1) + [True])
    ]  # fmt: skip


def end(*processes):
    """Wait for processes, which succeed."""
    texts = [process.communicate(timeout=240) for process in processes]
    for process, text in zip(processes, texts, strict=True):
        assert process.returncode == 0, text[1][-3_000:]
    return texts


@pytest.fixture(scope="module")
def of_one(prepared, tmp_path_factory):
    """Train on one device: as it is, on drawn cells, in parts, and with the effects of batches."""
    folder = tmp_path_factory.mktemp("one")
    variants = {
        "plain": {},
        "drawn": {"cells_per_step": 20},
        "parts": {"accumulate": 2},
        "batches": {"batch_key": "batch", "l2_cell": 1e-6},
    }
    for name, options in variants.items():
        sz.train(prepared, out=folder / name, quiet=True, strategy="none", **OPTIONS, **options)
    return folder, variants


def difference(out, expected, kind):
    """Return the norm of the difference of the arrays whose names hold `kind`, relative to their norm."""
    ours, theirs = (read_arrays(path / "checkpoint.npz")[0] for path in (out, expected))
    assert ours.keys() == theirs.keys()
    ours, theirs = (np.concatenate([arrays[name].ravel() for name in sorted(arrays) if kind in name]) for arrays in (ours, theirs))
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def assert_same_run(out, expected, tolerance=TOLERANCE):
    assert difference(out, expected, "_momentum") < tolerance
    assert difference(out, expected, "weight/") < 5e-3
    assert difference(out, expected, "moving") < 2e-3
    history = [np.genfromtxt(path / "history.csv", delimiter=",", names=True) for path in (out, expected)]
    for column in ("loss", "validation_loss"):
        np.testing.assert_allclose(history[0][column], history[1][column], rtol=2e-3, err_msg=column)
    for column in ("auroc", "validation_auroc"):
        np.testing.assert_allclose(history[0][column], history[1][column], atol=0.02, err_msg=column)


def test_statistics_of_half_a_batch_would_be_noticed(of_one):
    folder, _ = of_one
    assert difference(folder / "parts", folder / "plain", "_momentum") > 5 * TOLERANCE_IN_PARTS


@pytest.mark.parametrize("name", ["plain", "drawn", "parts", "batches"])
def test_two_mirrored_devices_end_with_the_weights_of_one(name, prepared, of_one, tmp_path):
    folder, variants = of_one
    end(start(prepared, tmp_path / "run", n_devices=2, strategy="mirrored", **variants[name]))
    assert_same_run(tmp_path / "run", folder / name, TOLERANCE_IN_PARTS if name == "parts" else TOLERANCE)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["device"]["strategy"] == "mirrored"
    assert record["device"]["devices_of_worker"] == ["device:CPU:0", "device:CPU:1"]


def test_two_tasks_of_slurm_without_gpus_end_with_the_weights_of_one(prepared, of_one, tmp_path):
    tasks = {**SLURM, "SLURM_NTASKS": "2", "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "2"}
    end(*(start(prepared, tmp_path / "run", environment={**tasks, "SLURM_PROCID": str(number)}) for number in range(2)))
    assert_same_run(tmp_path / "run", of_one[0] / "plain")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["device"]["n_workers"] == 2
    assert record["hardware"].startswith("2 workers, each with ")


def test_a_killed_worker_ends_the_others_and_one_device_goes_on(prepared, of_one, tmp_path):
    out = tmp_path / "run"
    chief, other = start_workers(prepared, out, epochs=10_000, patience=10_000)
    deadline = time.monotonic() + 200
    while not (out / "checkpoint.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    other.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    _, said = chief.communicate(timeout=200)
    assert chief.returncode != 0
    assert time.monotonic() - killed < 120
    assert "Another of the 2 workers ended" in said, said[-3_000:]
    epochs = read_arrays(out / "checkpoint.npz")[1]["epoch"]
    end(start(prepared, out, resume=True, strategy="none", epochs=epochs + 1))
    assert read_arrays(out / "checkpoint.npz")[1]["epoch"] == epochs + 1
    record = json.loads((out / "run.json").read_text())
    assert record["device"]["strategy"] == "none"
    before, _, after = record["hardware"].partition(f"; after epoch {epochs}: ")
    assert before == f"2 workers, each with {after}"


def test_a_run_without_its_first_worker_ends(prepared, tmp_path, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("localhost", 0))
        workers = [f"localhost:{closed.getsockname()[1]}", "localhost:1"]
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": 1}}))
    monkeypatch.setattr("scbasset_zoo.training.replicas._LONGEST_WAIT", 1.5)
    with pytest.raises(TrainingError, match="Worker 0 at localhost:.* could not be reached in 2 seconds"):
        sz.train(prepared, out=tmp_path / "run", **OPTIONS)


def test_a_port_in_use_is_named(prepared, tmp_path):
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        workers = [f"localhost:{other.getsockname()[1]}", "localhost:1"]
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": 0}}
        process = start(prepared, tmp_path / "run", environment={"TF_CONFIG": json.dumps(config)})
        _, said = process.communicate(timeout=200)
    assert f"error: Worker 0 cannot start at {workers[0]}: Address already in use. Another program may use this port" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_worker_that_waits_for_the_others(number, prepared, tmp_path):
    chief, other = start_workers(prepared, tmp_path / "run")
    other.kill()
    for line in chief.stderr:
        if line.startswith("Waiting for the workers at localhost:"):
            break
    chief.send_signal(number)
    assert chief.wait(timeout=20) == -number
    assert not (tmp_path / "run").exists()


def test_workers_with_other_options_are_refused_before_a_run_is_written(prepared, tmp_path):
    workers = start_workers(prepared, tmp_path / "run", of_last={"seed": 1, "precision": "bfloat16"})
    said = [worker.communicate(timeout=240)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [1, 1]
    assert "The 2 workers differ in seed (here 0), precision (here float32)" in said[0], said[0][-3_000:]
    assert "The 2 workers differ in seed (here 1), precision (here bfloat16)" in said[1], said[1][-3_000:]
    assert not (tmp_path / "run").exists()


def test_workers_that_write_other_folders_are_refused_before_a_run_is_written(prepared, tmp_path):
    workers = start_workers(prepared, tmp_path / "run", out_of_last=tmp_path / "other")
    said = [worker.communicate(timeout=240)[1] for worker in workers]
    assert f"The 2 workers differ in out (here {tmp_path / 'other'}). " in said[1], said[1][-3_000:]
    assert "start each with strategy='none'" in said[0]
    assert not any((tmp_path / name).exists() for name in ("run", "other"))


def test_an_empty_variable_names_no_workers(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", " ")
    assert chosen("auto") == "none"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("not json", "TF_CONFIG is not valid: it is no JSON"),
        ([], r"the whole must be an object in braces; found \[\]"),
        ({"cluster": ["a:1"]}, r"cluster must be an object in braces; found \[.a:1.\]"),
        ({"cluster": {"worker": ["a:1", "b:1"]}, "task": None}, "task must be an object in braces; found null"),
        *(
            ({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": index}}, "the index of the task must be")
            for index in (0.7, True, "x", None)
        ),
        *(
            ({"cluster": {"worker": ["a:1", address]}, "task": {"type": "worker", "index": 0}}, f"'{address}' is not the address")
            for address in ("b:99999", "b:0", ":1")
        ),
        ({"cluster": {"worker": ["a:1", "b:1"], "ps": ["c:1"]}, "task": {"type": "worker", "index": 0}}, "only workers can train"),
        (
            {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}},
            "2, is not that of a worker: there are 2",
        ),
        ({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker"}}, "needs a type and an index"),
        ({"cluster": {"worker": ["a:1", "b"]}, "task": {"type": "worker", "index": 0}}, "'b' is not the address of a worker"),
        ({"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}, "'a:1' is not the address of a worker"),
        ({"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}, "two workers have the address a:1"),
    ],
)
def test_a_wrong_cluster_is_refused(config, message, prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config if isinstance(config, str) else json.dumps(config))
    with pytest.raises(sz.InputError, match=message):
        sz.train(prepared, out=tmp_path / "run", strategy="multiworker", **OPTIONS)
    assert not (tmp_path / "run").exists()


def test_one_device_reads_no_variables(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "of another program")
    for strategy in ("none", "mirrored"):
        assert chosen(strategy) == strategy


@pytest.mark.parametrize("config", [None, {"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 0}}])
def test_less_than_two_workers_are_refused(config, prepared, tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config:
        monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    with pytest.raises(sz.InputError, match=r"needs the variable TF_CONFIG, .* \(two or more\).*use strategy='none'"):
        sz.train(prepared, out=tmp_path / "run", strategy="multiworker", **OPTIONS)


def test_mirrored_on_one_device_is_training_on_it(prepared, of_one, tmp_path, capsys):
    run = sz.train(prepared, out=tmp_path / "run", quiet=True, strategy="mirrored", **OPTIONS)
    assert "sees one device" in capsys.readouterr().err
    assert difference(run.folder, of_one[0] / "plain", "weight/") == 0


def test_a_run_of_one_device_is_not_resumed_by_other_workers(prepared, of_one, tmp_path, monkeypatch):
    """It was started with strategy none, so each worker would write it."""
    out = shutil.copytree(of_one[0] / "plain", tmp_path / "run")
    workers = {"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(workers))
    with hold(out), ThreadPoolExecutor() as pool, pytest.raises(sz.InputError, match="Another process is writing"):
        pool.submit(sz.train, prepared, out=out, resume=True, epochs=3).result()


def test_tasks_of_slurm_have_addresses_in_the_order_of_their_numbers(monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    assert slurm_tasks() == (["n9:24567", "n9:24568", "n10:24567", "n10:24568"], 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"SLURM_STEP_TASKS_PER_NODE": "2"}, "cannot be read from SLURM_STEP_NODELIST='n.9-10.' and SLURM_STEP_TASKS_PER_NODE='2'"),
        ({"SLURM_STEP_NODELIST": "n[9-"}, "cannot be read"),
        ({"SLURM_NTASKS": "5"}, "SLURM_NTASKS=5, SLURM_PROCID=3, .* name 4 tasks"),
        ({"SLURM_PROCID": "4"}, "SLURM_PROCID=4"),
        ({"SLURM_PROCID": ""}, "SLURM_PROCID of SLURM must be a number; found ''.*strategy='none'"),
        ({"SLURM_PROCID": None}, "SLURM_PROCID of SLURM must be a number; it is not set"),
    ],
)
def test_variables_of_slurm_that_do_not_agree_are_refused(change, message, monkeypatch):
    for name, value in {**SLURM, **change}.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(sz.InputError, match=message):
        slurm_tasks()


def test_other_workers_of_slurm_write_nothing(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name, value in {"SLURM_NTASKS": "3", "SLURM_STEP_NODELIST": "n[1-3]", "SLURM_PROCID": "2"}.items():
        monkeypatch.setenv(name, value)
    assert is_other_worker("auto")
    assert not is_other_worker("none")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert not is_other_worker("multiworker")


def test_batches_smaller_than_the_devices_are_refused(prepared, tmp_path):
    process = start(prepared, tmp_path / "run", n_devices=4, strategy="mirrored", batch_size=3)
    _, said = process.communicate(timeout=200)
    assert process.returncode != 0
    assert "4 devices cannot share batches of" in said
    assert not Path(tmp_path / "run" / "run.json").exists()
