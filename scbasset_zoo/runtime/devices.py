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
from typing import Any, Literal

import numpy as np

from scbasset_zoo.errors import DeviceError, InputError
from scbasset_zoo.graph.plain_run import import_onnxruntime
from scbasset_zoo.options import is_whole_number
from scbasset_zoo.progress import say
from scbasset_zoo.runtime.cgroups import cpu_quota
from scbasset_zoo.runtime.options import DeviceName
from scbasset_zoo.wording import install_command, option

# TF32 would round the factors of float32 products to 10 bits. The default search would time every convolution again for each
# new batch size; the heuristic one does not.
_CUDA = ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})
_CPU: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})
# Levels of ONNX Runtime's log.
_FATAL, _ERROR, _WARNING = 4, 3, 2
_announced: set[str] = set()
THREADS = "SCBASSET_ZOO_THREADS"
NO_DRIVER, NO_GPU = "no NVIDIA driver is installed", "no NVIDIA GPU is visible"
MOST_THREADS = 4096


@dataclass(frozen=True)
class Device:
    """The device that a model runs on.

    Attributes
    ----------
    name : "cpu" or "cuda"
    providers : tuple of (name, options)
        Execution providers for ONNX Runtime, the preferred one first.
    reason : str
        Why this device was chosen.
    threads : int or None
        Threads that compute on the CPU, if their number was given.
    """

    name: Literal["cpu", "cuda"]
    providers: tuple[tuple[str, dict[str, str]], ...]
    reason: str
    threads: int | None = None


def choose_device(device: DeviceName = "auto", threads: int | None = None) -> Device:
    """Choose a device and name it in one line on standard error, once per process and device.

    Parameters
    ----------
    device : "auto", "cpu" or "cuda"
        ``auto`` takes CUDA if a small test network runs on it, and the CPU otherwise.
    threads : int, optional
        Threads that compute on the CPU; :func:`usable_cores` if not given.

    Raises
    ------
    DeviceError
        ONNX Runtime is not installed, or `device` is ``cuda`` and CUDA does not work.
    InputError
        `device` is another name, or `threads` is no number from 1 to 4096.
    """
    if threads is not None and not (is_whole_number(threads) and 1 <= threads <= MOST_THREADS):
        raise InputError(f"{option('threads')} must be a whole number from 1 to {MOST_THREADS}; found {threads!r}.")
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"The device must be auto, cpu or cuda; found {device!r}.")
    import_onnxruntime()
    problem = _cuda_problem() if device != "cpu" else None
    if device == "cuda" and problem:
        raise DeviceError(f"device 'cuda' cannot be used: {problem}. Solve this, or use device 'cpu' or 'auto'.")
    if device == "cpu":
        chosen = Device("cpu", (_CPU,), "as requested")
    elif problem:
        chosen = Device("cpu", (_CPU,), problem)
    else:
        chosen = Device("cuda", (_CUDA, _CPU), "as requested" if device == "cuda" else "an NVIDIA GPU is available")
    chosen = replace(chosen, threads=None if threads is None else int(threads))
    if chosen.name not in _announced:
        _announced.add(chosen.name)
        # Without an NVIDIA GPU there is nothing to solve, so no reason is given.
        has_no_gpu = chosen.reason in (NO_DRIVER, NO_GPU)
        say(f"Running on {chosen.name}." if has_no_gpu else f"Running on {chosen.name} ({chosen.reason}).")
    return chosen


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
    try:
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
