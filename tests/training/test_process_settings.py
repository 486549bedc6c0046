"""Settings of other code and other projects change neither the network nor the numbers, and they are the same afterwards."""

import json
import os
import random
import subprocess
import sys
import warnings

import numpy as np
import pytest
from helpers.tiny_fits import TINY

import scbasset_zoo as sz
from scbasset_zoo.errors import TrainingError
from scbasset_zoo.training.checkpoint import read_arrays
from scbasset_zoo.training.tensorflow_setup import require_tensorflow

require_tensorflow()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from scbasset_zoo.training import training_device  # noqa: E402
from scbasset_zoo.training.architecture import Architecture, Network  # noqa: E402
from scbasset_zoo.training.process_settings import standard_settings  # noqa: E402


def settings_now():
    policy, order, epsilon = keras.config.dtype_policy().name, keras.config.image_data_format(), keras.config.epsilon()
    eager = tf.config.functions_run_eagerly()
    return keras.config.floatx(), policy, order, epsilon, eager, np.geterr()["under"], warnings.filters[0][0]


@pytest.fixture
def other_settings():
    """Settings as code of another project may have made them."""
    with standard_settings():  # puts the settings of the tests back afterwards
        keras.config.set_floatx("float16")
        keras.config.set_dtype_policy("mixed_float16")
        keras.config.set_image_data_format("channels_first")
        keras.config.set_epsilon(0.1)
        tf.config.run_functions_eagerly(True)
        np.seterr(all="raise")
        warnings.simplefilter("error")
        yield


def outputs(precision):
    x = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, (3, 1344))]
    batch_of_cell = np.array([0, 1, 0])
    architecture = Architecture(3, n_batches=2, width=0.03, embedding_size=5)
    network = Network(architecture, batch_of_cell=batch_of_cell, precision=precision, seed=4)
    types = [(weight.path, str(weight.dtype), tuple(weight.shape)) for weight in network.weights]
    return network(x).numpy(), network(x, training=True).numpy(), types


@pytest.fixture(scope="module")
def expected_outputs():
    return {precision: outputs(precision) for precision in ("float32", "bfloat16")}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_network_states_all_that_it_depends_on(expected_outputs, other_settings, precision):
    expected, (inference, training, types) = expected_outputs[precision], outputs(precision)
    assert types == expected[2]
    np.testing.assert_array_equal(inference, expected[0])
    np.testing.assert_array_equal(training, expected[1])


def test_the_block_has_the_defaults_and_the_users_settings_are_put_back_even_after_an_error(other_settings):
    before = settings_now()
    with standard_settings():
        assert settings_now() == ("float32", "float32", "channels_last", 1e-7, False, "ignore", "default")
    assert settings_now() == before
    with pytest.raises(KeyError), standard_settings():
        raise KeyError
    assert settings_now() == before == ("float16", "mixed_float16", "channels_first", 0.1, True, "raise", "error")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    simulation = sz.simulate(folder / "simulated", n_cells=20, n_peaks=120, n_types=2, density=0.2, quiet=True)
    return sz.prepare(
        simulation.matrix, genome=simulation.genome, assembly="simulated", out=folder / "prepared", split="70/15/15", quiet=True
    ).folder


@pytest.fixture(scope="module")
def plain_run(prepared, tmp_path_factory):
    return sz.train(prepared, out=tmp_path_factory.mktemp("runs") / "plain", epochs=1, **TINY)


def assert_same_weights(folder, other):
    ours, theirs = (read_arrays(run / "checkpoint.npz")[0] for run in (folder, other))
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_a_run_under_other_settings_ends_identical_and_draws_no_random_number_of_the_user(
    prepared, plain_run, other_settings, tmp_path
):
    before = settings_now(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002  the global generator
    run = sz.train(prepared, out=tmp_path / "run", epochs=1, **TINY)
    assert (settings_now(), random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    assert_same_weights(run.folder, plain_run.folder)


@pytest.mark.parametrize("more", [{}, {"cells_per_step": 15}], ids=["all cells", "drawn cells"])
def test_a_run_with_variables_and_a_settings_file_of_other_projects_ends_identical(prepared, plain_run, tmp_path, more):
    settings = {"floatx": "float16", "epsilon": 0.1, "backend": "torch", "image_data_format": "channels_first"}
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "keras.json").write_text(json.dumps(settings))
    others = {
        "KERAS_HOME": str(tmp_path / "keras"),
        "KERAS_BACKEND": "jax",
        "KERAS_NNX_ENABLED": "1",
        "KERAS_MAX_EPOCHS": "1",
        "TF_USE_LEGACY_KERAS": "1",
        "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
        "CUDA_VISIBLE_DEVICES": "",
    }
    options = [f"--{name.replace('_', '-')}={value}" for name, value in (TINY | more).items() if name != "quiet"]
    command = [sys.executable, "-W", "error", "-m", "scbasset_zoo.cli.main", "train", prepared, "--epochs=1", *options]
    done = subprocess.run(
        [*map(str, command), f"--out={tmp_path / 'run'}"], env=os.environ | others, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "KERAS_BACKEND=jax is not used" in done.stderr
    assert "Training on cpu (TensorFlow sees no GPU: CUDA_VISIBLE_DEVICES='' hides all of them)." in done.stderr
    expected = sz.train(prepared, out=tmp_path / "plain", epochs=1, **TINY, **more) if more else plain_run
    assert_same_weights(tmp_path / "run", expected.folder)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["device"]["name"] == "cpu"
    assert record["environment"]["TF_XLA_FLAGS"] == others["TF_XLA_FLAGS"]


def test_keras_on_another_backend_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(TrainingError, match="imported with the backend torch in this process; .*KERAS_BACKEND=tensorflow"):
        require_tensorflow()


def test_tensorflow_of_version_1_is_refused():
    with tf.Graph().as_default(), pytest.raises(TrainingError, match="runs as version 1"), standard_settings():
        pass


@pytest.mark.parametrize(
    ("variable", "driver", "with_cuda", "reason"),
    [
        ("", None, True, "CUDA_VISIBLE_DEVICES='' hides all of them"),
        ("-1", None, True, "CUDA_VISIBLE_DEVICES='-1' hides all of them"),
        (None, "no NVIDIA driver is installed", True, "no NVIDIA driver is installed"),
        ("7", "no NVIDIA GPU is visible", True, "no NVIDIA GPU is visible; CUDA_VISIBLE_DEVICES='7'"),
        (None, None, False, "the installed TensorFlow is built for CPUs"),
        (
            None,
            None,
            True,
            "TensorFlow cannot load its CUDA libraries; pip install '.[train-gpu]' in the clone",
        ),
    ],
)
def test_the_reason_for_the_cpu_is_the_first_thing_that_is_wrong(monkeypatch, variable, driver, with_cuda, reason):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    monkeypatch.setattr(training_device, "driver_problem", lambda: driver)
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: with_cuda)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    name, why = training_device.training_device()
    assert name == "cpu"
    assert why.startswith(f"TensorFlow sees no GPU: {reason}")
