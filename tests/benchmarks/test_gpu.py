"""The benchmark of GPUs: it never calls a run on a CPU one on a GPU, and its parts run."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from helpers.trunks import draw_trunk

from benchmarks import gpu
from scbasset_zoo.errors import DeviceError
from scbasset_zoo.runtime.devices import choose_device, driver_problem
from scbasset_zoo.runtime.nvidia import tensorrt_problem

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cpu():
    return choose_device("cpu", 1)


@pytest.mark.skipif(driver_problem() is None, reason="this machine has an NVIDIA GPU")
def test_without_a_gpu_it_ends_with_an_error_and_prints_no_number():
    done = subprocess.run([sys.executable, "-m", "benchmarks.gpu"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Nothing was measured. device 'cuda' cannot be used")


def test_it_needs_neither_tensorflow_nor_pandas():
    missing = "tensorflow", "pandas", "scipy", "anndata", "h5py", "pyarrow", "rich", "typer", "yaml", "platformdirs"
    code = f"import sys; sys.modules.update(dict.fromkeys({missing})); import benchmarks.gpu"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_setting_whose_layers_run_on_the_cpu_is_refused(cpu):
    model = draw_trunk().SerializeToString()
    gpu.require_provider(model, cpu)
    assert gpu.heavy_layers_by_provider(model, cpu) == {"CPUExecutionProvider": 5}, "four convolutions and a dense layer"
    elsewhere = replace(cpu, name="cuda", providers=(("SomeGPU", {}), *cpu.providers))
    with pytest.warns(UserWarning, match="SomeGPU"), pytest.raises(gpu.FellBack, match="5 on CPUExecutionProvider"):
        gpu.require_provider(model, elsewhere)


def test_an_option_that_was_not_taken_is_refused(cpu):
    class Session:
        def get_provider_options(self):
            return {"CUDAExecutionProvider": {"use_tf32": "0"}}

    device = replace(cpu, providers=(("CUDAExecutionProvider", {"use_tf32": "1"}),))
    with pytest.raises(gpu.FellBack, match="use_tf32=0; expected 1"):
        gpu.require_options(Session(), device)


def test_tf32_whose_numbers_are_those_of_float32_is_refused(cpu):
    numbers = np.ones((2, 3), np.float32)
    with pytest.raises(gpu.FellBack, match="tf32 was not used"):
        gpu.require_rounding(numbers + np.float32(1e-5), numbers, gpu.Setting("x", cpu, "tf32"))
    gpu.require_rounding(numbers + np.float32(1e-3), numbers, gpu.Setting("x", cpu, "tf32"))


def test_the_parts_run_and_a_setting_that_fails_does_not_hide_the_others(cpu, monkeypatch):
    monkeypatch.setattr(gpu, "random_trunk", lambda: draw_trunk(gpu.LENGTH, embedding_size=gpu.EMBEDDING_SIZE))
    sizes = gpu.Sizes(batches=(2,), n_sequences=3, n_compared=3, n_backgrounds=2, n_motifs=2, repetitions=1)
    chosen = [
        gpu.Setting("plain", cpu),
        gpu.Setting("TF32 on a CPU", cpu, "tf32"),
        gpu.Setting("fixed", cpu, fixed=True),
        gpu.Setting("half", cpu, "float16", fixed=True),
    ]
    passes = [line.split("|") for line in gpu.full_passes(chosen, cpu, sizes, time.monotonic() + 60).splitlines()[2:6]]
    assert [line[1].strip() for line in passes] == [setting.name for setting in chosen]
    assert "tf32 was not used" in passes[1][2]
    assert float(passes[0][4]) == 0
    assert float(passes[2][4]) < 1e-5
    assert 1e-5 < float(passes[3][4]) < 0.1
    edits = gpu.mutations(chosen[:1], cpu, sizes, time.monotonic() + 60).splitlines()[2].split("|")
    assert float(edits[5]) == 1
    late = gpu.full_passes(chosen[:1], cpu, sizes, time.monotonic() - 1)
    assert "not measured: the 240 s are over" in late


def test_tensorrt_that_is_missing_gives_a_line_that_says_what_to_install(cpu, tmp_path):
    if tensorrt_problem(onnxruntime) is None:
        pytest.skip("TensorRT is installed")
    chosen = [setting for setting in gpu.settings(cpu, tmp_path) if setting.name.startswith("TensorRT")]
    assert [setting.precision for setting in chosen] == ["tf32", "float16", "bfloat16"]
    with pytest.raises(DeviceError, match=r"TensorRT cannot be used: .*"):
        gpu.embedder(draw_trunk(), chosen[0], 2)
