"""Devices: chosen once, named in one line, never replaced silently; errors say what to install."""

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import toy

from scbasset_zoo.errors import DeviceError, InputError
from scbasset_zoo.runtime import devices


def has_gpu():
    try:
        driver, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(0)
    except OSError:
        return False
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


no_gpu = pytest.mark.skipif(has_gpu(), reason="this machine has an NVIDIA GPU")


def python(code, *arguments):
    """Run code in a fresh process."""
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120)


@no_gpu
def test_auto_falls_back_to_the_cpu_and_says_so_in_one_line_and_nothing_else():
    code = """
from scbasset_zoo.runtime.devices import choose_device, one_convolution, open_session
for _ in range(2):
    device = choose_device("auto")
    session = open_session(one_convolution(), device)
print(device.name, session.get_providers())
"""
    done = python(code)
    assert done.stdout.split() == ["cpu", "['CPUExecutionProvider']"]
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0] == "Running on cpu.", "no reason is given where there is no NVIDIA GPU"


@no_gpu
def test_cuda_without_a_gpu_is_an_error():
    with pytest.raises(DeviceError, match="'cuda' cannot be used: .*NVIDIA"):
        devices.choose_device("cuda")


@pytest.mark.skipif(not has_gpu(), reason="needs an NVIDIA GPU")
def test_auto_takes_the_gpu():
    assert devices.choose_device("auto").name == "cuda"


def test_an_unknown_device_is_refused():
    with pytest.raises(InputError, match="auto, cpu, cuda, openvino or tensorrt; found 'tpu'"):
        devices.choose_device("tpu")


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_session_that_left_its_device_is_an_error():
    device = devices.Device("cuda", (("AzureOrNothing", {}), ("CPUExecutionProvider", {})), "as requested")
    with pytest.raises(DeviceError, match="AzureOrNothing"):
        devices.open_session(devices.one_convolution(), device)


def test_a_session_uses_the_cores_that_the_process_may_use():
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system has no processor affinity")
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        session = devices.open_session(devices.one_convolution(), devices.choose_device("cpu"))
        assert session.get_session_options().intra_op_num_threads == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize("call", ["sz.open_model(sys.argv[1])", "verify_package(sys.argv[1])"])
def test_without_onnxruntime_the_error_says_what_to_install(tmp_path, call):
    toy.toy_package(tmp_path / "toy")
    code = f"""
import sys
sys.modules["onnxruntime"] = None
import scbasset_zoo as sz
from scbasset_zoo.package.verifying import verify_package
try:
    {call}
except sz.ScbassetZooError as error:
    print(type(error).__name__, error)
"""
    done = python(code, tmp_path / "toy")
    assert done.stdout.startswith("DeviceError No ONNX Runtime is installed.")
    assert "pip install '.[cpu]'" in done.stdout
    assert "pip install '.[gpu]'" in done.stdout


def test_opening_a_package_and_reading_its_card_needs_no_onnxruntime(tmp_path):
    toy.toy_package(tmp_path / "toy")
    code = """
import sys
for name in ("onnxruntime", "tensorflow", "keras", "matplotlib", "scanpy", "kipoi"):
    sys.modules[name] = None
from scbasset_zoo.package.reading import Package
package = Package.open(sys.argv[1])
print(package.card.cells.n_cells, len(package.cells()))
"""
    assert python(code, tmp_path / "toy").stdout.split() == ["7", "7"]


@pytest.mark.parametrize(("value", "expected"), [("1", 1), ("1,2", 1), (" 1 ", 1), ("0", None), ("two", None), ("", None)])
def test_omp_num_threads_is_an_upper_bound(monkeypatch, value, expected):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = devices.usable_cores()
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert devices.usable_cores() == (cores if expected is None else expected)


def test_a_prediction_leaves_nothing_in_a_new_home(tmp_path):
    code = "import numpy as np, scbasset_zoo as sz; sz.open_model('scbasset/demo', device='cpu').embed('ACGT' * 336)"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env=environment | {"HOME": str(tmp_path)}, check=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_number_of_threads_can_be_given(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert devices.usable_cores() == 1
    monkeypatch.setenv("SCBASSET_ZOO_THREADS", "3")
    assert devices.usable_cores() == 3
    session = devices.open_session(devices.one_convolution(), devices.choose_device("cpu", threads=2))
    assert session.get_session_options().intra_op_num_threads == 2
    session = devices.open_session(devices.one_convolution(), devices.choose_device("cpu"))
    assert session.get_session_options().intra_op_num_threads == 3


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "³"])
def test_a_number_of_threads_that_is_none_is_refused(monkeypatch, value):
    monkeypatch.setenv("SCBASSET_ZOO_THREADS", value)
    with pytest.raises(InputError, match="SCBASSET_ZOO_THREADS must be a whole number from 1 to 4096; found"):
        devices.usable_cores()
    with pytest.raises(InputError, match="threads must be a whole number from 1"):
        devices.choose_device("cpu", threads=0)


@pytest.mark.parametrize("threads", [True, np.True_, 1.0, "2", -1, 10**30])
def test_what_is_no_number_of_threads_is_refused(threads):
    with pytest.raises(InputError, match="threads must be a whole number from 1 to 4096"):
        devices.choose_device("cpu", threads=threads)


def test_a_number_of_threads_of_numpy_is_taken():
    assert devices.choose_device("cpu", threads=np.int64(2)).threads == 2
