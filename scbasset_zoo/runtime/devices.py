"""Choose the device that runs a model, tell the user which one it is, and open ONNX Runtime sessions on it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import onnx

from scbasset_zoo.errors import DeviceError, InputError
from scbasset_zoo.graph.half_precision import in_float16
from scbasset_zoo.graph.plain_run import import_onnxruntime
from scbasset_zoo.options import is_whole_number
from scbasset_zoo.progress import say
from scbasset_zoo.runtime.cgroups import cpu_quota
from scbasset_zoo.runtime.nvidia import CUDA_PRECISIONS, TENSORRT_PRECISIONS, cuda_provider, tensorrt_problem, tensorrt_provider
from scbasset_zoo.runtime.openvino import OPENVINO, openvino_problem, openvino_session
from scbasset_zoo.runtime.options import DeviceName, Precision
from scbasset_zoo.runtime.processor import bfloat16_instructions
from scbasset_zoo.wording import install_command, option

_CUDA = cuda_provider()
_CPU: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})
# Levels of ONNX Runtime's log.
_FATAL, _ERROR, _WARNING = 4, 3, 2
_announced: set[str] = set()
THREADS = "SCBASSET_ZOO_THREADS"
NO_DRIVER, NO_GPU = "no NVIDIA driver is installed", "no NVIDIA GPU is visible"
MOST_THREADS = 4096
PRECISIONS: dict[str, tuple[str, ...]] = {
    "cpu": ("float32",),
    "openvino": ("float32", "bfloat16"),
    "cuda": CUDA_PRECISIONS,
    "tensorrt": TENSORRT_PRECISIONS,
}


@dataclass(frozen=True)
class Device:
    """The device that a model runs on.

    Attributes
    ----------
    name : "cpu", "openvino", "cuda" or "tensorrt"
    providers : tuple of (name, options)
        Execution providers for ONNX Runtime, the preferred one first.
    reason : str
        Why this device was chosen.
    threads : int or None
        Threads that compute on the CPU, if their number was given.
    precision : "float32", "bfloat16", "float16" or "tf32"
        What the factors of products are rounded to. Sums are float32.
    """

    name: Literal["cpu", "openvino", "cuda", "tensorrt"]
    providers: tuple[tuple[str, dict[str, str]], ...]
    reason: str
    threads: int | None = None
    precision: Precision = "float32"

    @property
    def is_gpu(self) -> bool:
        """Whether the device has memory of its own."""
        return self.name in ("cuda", "tensorrt")

    @property
    def is_reference(self) -> bool:
        """Whether the numbers are those of ONNX Runtime's own providers in float32, the setting of every package's test vectors."""
        return self.name in ("cpu", "cuda") and self.precision == "float32"

    def __str__(self) -> str:
        return self.name if self.is_reference else f"{self.name} in {self.precision}"


def choose_device(device: DeviceName = "auto", threads: int | None = None, precision: Precision = "float32") -> Device:
    """Choose a device and name it in one line on standard error, once per process, device and precision.

    Parameters
    ----------
    device : "auto", "cpu", "openvino", "cuda" or "tensorrt"
        ``auto`` takes CUDA if a small test network runs on it, and the CPU otherwise. With a precision other than float32, it takes
        the first of CUDA and OpenVINO that has it here; if none has, it stays with float32 and says so.
    threads : int, optional
        Threads that compute on the CPU; :func:`usable_cores` if not given.
    precision : "float32", "bfloat16", "float16" or "tf32"
        See :class:`Device`.

    Raises
    ------
    DeviceError
        ONNX Runtime is not installed, or the named `device` does not work or does not have the precision.
    InputError
        `device` or `precision` is another name, or `threads` is no number from 1 to 4096.
    """
    if threads is not None and not (is_whole_number(threads) and 1 <= threads <= MOST_THREADS):
        raise InputError(f"{option('threads')} must be a whole number from 1 to {MOST_THREADS}; found {threads!r}.")
    for value, names, what in ((device, get_args(DeviceName), "device"), (precision, get_args(Precision), "precision")):
        if value not in names:
            raise InputError(f"The {what} must be {', '.join(names[:-1])} or {names[-1]}; found {value!r}.")
    import_onnxruntime()
    chosen = _automatic(precision) if device == "auto" else _requested(device, precision)
    chosen = replace(chosen, threads=None if threads is None else int(threads))
    if str(chosen) not in _announced:
        _announced.add(str(chosen))
        # Without an NVIDIA GPU there is nothing to solve, so no reason is given.
        has_no_gpu = chosen.reason in (NO_DRIVER, NO_GPU)
        say(f"Running on {chosen}." if has_no_gpu else f"Running on {chosen} ({chosen.reason}).")
    return chosen


def _requested(device: str, precision: Precision) -> Device:
    """Return a device that was named."""
    if precision not in PRECISIONS[device]:
        having = [name for name, precisions in PRECISIONS.items() if precision in precisions]
        raise DeviceError(
            f"device {device!r} computes in {' or '.join(PRECISIONS[device])}, not in {precision}. Choose one of these by "
            f"{option('precision')}, or for {precision} the device {' or '.join(having)}."
        )
    if problem := _problem(device, precision):
        setting = "" if precision == "float32" else f" in {precision}"
        raise DeviceError(f"device {device!r} cannot be used{setting}: {problem}. Solve this, or use device 'cpu' or 'auto'.")
    return Device(device, _providers(device, precision), "as requested", precision=precision)  # type: ignore[arg-type]


def _automatic(precision: Precision) -> Device:
    """Return CUDA or the CPU for float32, and for another precision the first device that has it here."""
    if precision == "float32":
        problem = _problem("cuda", precision)
        if problem:
            return Device("cpu", (_CPU,), problem)
        return Device("cuda", _providers("cuda", precision), "an NVIDIA GPU is available")
    problems = []
    for device, reason in (("cuda", "an NVIDIA GPU is available"), ("openvino", f"the processor has {bfloat16_instructions()}")):
        if precision in PRECISIONS[device]:
            problem = _problem(device, precision)
            if not problem:
                return Device(device, _providers(device, precision), reason, precision=precision)  # type: ignore[arg-type]
            problems.append(problem)
    return Device("cpu", (_CPU,), f"not in {precision}, but in float32: {'; '.join(problems)}")


def _problem(device: str, precision: Precision) -> str | None:
    """Return why a device cannot be used in one of its precisions, or None if it can."""
    if device == "openvino":
        return openvino_problem(precision)
    if device == "cpu":
        return None
    problem = _cuda_problem()
    return tensorrt_problem(import_onnxruntime()) if problem is None and device == "tensorrt" else problem


def _providers(device: str, precision: Precision) -> tuple[tuple[str, dict[str, str]], ...]:
    if device == "cpu":
        return (_CPU,)
    if device == "openvino":
        return ((OPENVINO, {}), _CPU)
    if device == "cuda":
        return (cuda_provider(precision), _CPU)
    # Imported here, so that benchmarks.gpu needs no platformdirs.
    from scbasset_zoo.user_folders import cache_folder, make_cache_folder

    cache = make_cache_folder(cache_folder() / "tensorrt")
    return (tensorrt_provider(precision, cache), cuda_provider("tf32"), _CPU)


def open_session(model: bytes, device: Device) -> Any:
    """Open an `onnxruntime.InferenceSession` on `device`, with the threads of the device, or else :func:`usable_cores`.

    Raises
    ------
    DeviceError
        ONNX Runtime cannot open the model on the device, or fell back to another device.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = device.threads or usable_cores()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _ERROR
    # Each session has threads of its own. Otherwise they would wait busily after a run, and slow the run of another session.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        if device.name == "openvino":
            session = openvino_session(model, options, device.precision, options.intra_op_num_threads)
        else:
            if device.name == "cuda" and device.precision == "float16":
                model = in_float16(onnx.ModelProto.FromString(model)).SerializeToString()
            session = onnxruntime.InferenceSession(model, options, providers=list(device.providers))
    except Exception as error:  # ONNX Runtime's own errors share no base but Exception
        raise DeviceError(f"ONNX Runtime cannot open the model on {device.name}: {error}") from error
    expected, actual = device.providers[0][0], session.get_providers()[0]
    if actual != expected:
        raise DeviceError(f"ONNX Runtime opened the model on {actual}; expected {expected}. Use device 'cpu' to run on the CPU.")
    return session


def usable_cores() -> int:
    """Return the number of cores that this process may use: in a container or batch job, fewer than the machine has.

    SCBASSET_ZOO_THREADS gives the number. Otherwise OMP_NUM_THREADS, SLURM_CPUS_PER_TASK, the CPU affinity and the CPU quotas of
    containers and batch systems are upper bounds.

    Raises
    ------
    InputError
        SCBASSET_ZOO_THREADS is no number from 1 to 4096.
    """
    given = os.environ.get(THREADS, "").strip()
    if given:
        if not (given.isdecimal() and given.isascii() and len(given) < 20 and 1 <= int(given) <= MOST_THREADS):
            raise InputError(f"{THREADS} must be a whole number from 1 to {MOST_THREADS}; found {given[:40]!r}.")
        return int(given)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [cores, cpu_quota()]
    for variable in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        # A list, such as "4,2", gives the threads of nested loops.
        first = os.environ.get(variable, "").split(",")[0].strip()
        if first.isdecimal() and len(first) < 20 and int(first) > 0:
            limits.append(int(first))
    return min(limit for limit in limits if limit is not None)


@functools.cache
def _cuda_problem() -> str | None:
    """Return why CUDA cannot be used, or None if it can."""
    onnxruntime = import_onnxruntime()
    # The driver comes first: without one, ONNX Runtime prints errors, and no other build of it would help.
    if problem := driver_problem():
        return problem
    if _CUDA[0] not in onnxruntime.get_available_providers():
        return f"the installed ONNX Runtime is for CPUs; {install_command('gpu')} brings the one for NVIDIA GPUs"
    return _session_problem(onnxruntime)


def driver_problem() -> str | None:
    """Return why the NVIDIA driver offers no GPU to this process, or None if it does."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return NO_DRIVER
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return NO_GPU
    return None


def _session_problem(onnxruntime: Any) -> str | None:
    """Run a small network, since only a convolution shows that cuDNN is missing."""
    with _quiet(onnxruntime):
        if hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL
        try:
            session = onnxruntime.InferenceSession(one_convolution(), options, providers=[_CUDA])
            session.run(None, {"x": np.ones((1, 1, 8), np.float32)})
        except Exception as error:  # noqa: BLE001  ONNX Runtime's own errors share no base but Exception
            return f"ONNX Runtime cannot run on the GPU: {str(error).splitlines()[0][:300]}"
    if session.get_providers()[0] != _CUDA[0]:
        return f"ONNX Runtime cannot load its CUDA libraries; {install_command('gpu')} brings them"
    return None


@contextlib.contextmanager
def _quiet(onnxruntime: Any) -> Iterator[None]:
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)


def one_convolution() -> bytes:
    """Return the smallest network that needs cuDNN, as a serialised model."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3])],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 6])],
        [helper.make_tensor("w", TensorProto.FLOAT, [1, 1, 3], [1.0, 2.0, 3.0])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
