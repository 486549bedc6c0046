"""Which ONNX Runtime provider runs a model: chosen once, said aloud, never swapped in silence."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from scbasset_zoo.errors import DeviceError, InputError
from scbasset_zoo.graph.plain_run import import_onnxruntime
from scbasset_zoo.progress import say

DeviceName = Literal["auto", "cpu", "cuda"]

# TF32 rounds float32 products to 10 bits; the heuristic search does not time every convolution anew for each batch size.
_CUDA = ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})
_CPU: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})
_FATAL, _ERROR, _WARNING = 4, 3, 2
_said: set[str] = set()


@dataclass(frozen=True)
class Device:
    """Where a model runs: `providers` for ONNX Runtime, and the reason for the choice."""

    name: Literal["cpu", "cuda"]
    providers: tuple[tuple[str, dict[str, str]], ...]
    reason: str


def choose_device(device: DeviceName = "auto") -> Device:
    """Choose where to run, and say so in one line on standard error, once in a process for each device.

    Parameters
    ----------
    device : "auto", "cpu" or "cuda"
        ``auto`` takes CUDA where a network really runs on it, and the CPU elsewhere.

    Raises
    ------
    DeviceError
        No ONNX Runtime is installed, or ``cuda`` was asked for and cannot be had.
    InputError
        Another name.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"The device must be auto, cpu or cuda; found {device!r}.")
    import_onnxruntime()
    problem = _cuda_problem() if device != "cpu" else None
    if device == "cuda" and problem:
        raise DeviceError(f"device 'cuda' cannot be used: {problem}. Use device 'cpu' or 'auto', or mend this.")
    if device == "cpu":
        chosen = Device("cpu", (_CPU,), "as asked")
    elif problem:
        chosen = Device("cpu", (_CPU,), problem)
    else:
        chosen = Device("cuda", (_CUDA, _CPU), "as asked" if device == "cuda" else "an NVIDIA GPU is available")
    if chosen.name not in _said:
        _said.add(chosen.name)
        say(f"Running on {chosen.name} ({chosen.reason}).")
    return chosen


def open_session(model: bytes, device: Device) -> Any:
    """An `onnxruntime.InferenceSession` that really runs on `device`, on all cores this process may use.

    Raises
    ------
    DeviceError
        ONNX Runtime cannot open the model there, or fell back to another device.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _ERROR
    try:
        session = onnxruntime.InferenceSession(model, options, providers=list(device.providers))
    except Exception as error:  # ONNX Runtime's own errors share no base but Exception
        raise DeviceError(f"ONNX Runtime cannot open the model on {device.name}: {error}") from error
    wanted = device.providers[0][0]
    if session.get_providers()[0] != wanted:
        raise DeviceError(f"ONNX Runtime left {wanted} for {session.get_providers()[0]}; choose device 'cpu' to run there.")
    return session


def usable_cores() -> int:
    """Cores that this process may use, which in a container or batch job are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _cuda_problem() -> str | None:
    """Why CUDA cannot be used; None when it can. The driver is asked first, since ONNX Runtime fails loudly without one."""
    onnxruntime = import_onnxruntime()
    if _CUDA[0] not in onnxruntime.get_available_providers():
        return "the installed ONNX Runtime is for CPUs; pip install 'scbasset-zoo[gpu]' brings the one for NVIDIA GPUs"
    return _driver_problem() or _session_problem(onnxruntime)


def _driver_problem() -> str | None:
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "no NVIDIA driver is installed"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "no NVIDIA GPU is visible"
    return None


def _session_problem(onnxruntime: Any) -> str | None:
    """Run a convolution, so that a missing cuDNN shows now."""
    with _quiet(onnxruntime):
        if hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL
        try:
            session = onnxruntime.InferenceSession(_convolution(), options, providers=[_CUDA])
            session.run(None, {"x": np.ones((1, 1, 8), np.float32)})
        except Exception as error:  # noqa: BLE001  ONNX Runtime's own errors share no base but Exception
            return f"ONNX Runtime cannot run on the GPU: {str(error).splitlines()[0][:300]}"
    if session.get_providers()[0] != _CUDA[0]:
        return "ONNX Runtime cannot load its CUDA libraries; pip install 'scbasset-zoo[gpu]' brings them"
    return None


@contextlib.contextmanager
def _quiet(onnxruntime: Any) -> Iterator[None]:
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)


def _convolution() -> bytes:
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3])],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 6])],
        [helper.make_tensor("w", TensorProto.FLOAT, [1, 1, 3], [1.0, 2.0, 3.0])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
