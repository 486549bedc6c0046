"""Runs model.onnx in plain ONNX Runtime on the CPU, without the runtime of this package."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from scbasset_zoo.errors import DeviceError, PackageError
from scbasset_zoo.graph.head import Array
from scbasset_zoo.wording import install_command


def run_plainly(raw: bytes, sequence: Array) -> dict[str, Array]:
    """Return all outputs for one-hot sequences (n, length, 4), by output name.

    Raises
    ------
    PackageError
        ONNX Runtime cannot run the model.
    DeviceError
        No ONNX Runtime is installed.
    """
    runs = list(run_each(raw, sequence))
    return {name: np.concatenate([outputs[name] for outputs in runs]) for name in runs[0]}


def run_each(raw: bytes, sequence: Array) -> Iterator[dict[str, Array]]:
    """Yield the outputs of :func:`run_plainly` for one sequence at a time.

    The memory check of :mod:`scbasset_zoo.graph.checks` holds for one sequence, not for many at once.
    """
    onnxruntime = import_onnxruntime()
    try:
        session = onnxruntime.InferenceSession(raw, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        for i in range(len(sequence)):
            yield dict(zip(names, session.run(names, {"sequence": sequence[i : i + 1]}), strict=True))
    except Exception as error:  # ONNX Runtime's own errors share no base but Exception
        raise PackageError(f"ONNX Runtime cannot run model.onnx: {error}") from error


def import_onnxruntime() -> Any:
    """Import `onnxruntime`, or raise a DeviceError that says how to install it.

    Its telemetry is off, unless the user has set ORT_DISABLE_TELEMETRY: cells of patients are nobody else's concern.

    It is not a requirement of this package, because its CPU and GPU builds overwrite each other.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(
            f"No ONNX Runtime is installed. Run {install_command('cpu')}, or {install_command('gpu')} if the machine has an "
            f"NVIDIA GPU ({error})."
        ) from error
    return onnxruntime
