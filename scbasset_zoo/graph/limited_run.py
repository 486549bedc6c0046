"""Runs an untrusted model.onnx in a process of its own, with limits of time and memory."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scbasset_zoo.errors import PackageError
from scbasset_zoo.graph import child_run
from scbasset_zoo.graph.head import Array
from scbasset_zoo.graph.plain_run import import_onnxruntime

MAX_SECONDS = 600
MAX_BYTES = 4 * 2**30


@dataclass(frozen=True)
class Runs:
    """The outputs of a network for some sequences, by output name; each array has one row for each sequence.

    Attributes
    ----------
    alone : list of mappings
        Each sequence run alone, so each array has one row.
    together : mapping
        All sequences run at once.
    reversed : mapping
        All sequences run at once in reverse order; the rows are in the order of the sequences again.
    """

    alone: list[dict[str, Array]]
    together: dict[str, Array]
    reversed: dict[str, Array]


def run_limited(raw: bytes, sequences: Array, *, max_seconds: float = MAX_SECONDS, max_bytes: int = MAX_BYTES) -> Runs:
    """Run a network on one-hot sequences (n, length, 4) in plain ONNX Runtime on the CPU, in a process of its own.

    Parameters
    ----------
    raw : bytes
        The bytes of model.onnx.
    sequences : float32 array of shape (n, length, 4)
    max_seconds : float
        The process is ended after this time.
    max_bytes : int
        Memory that the network may take. Only Linux enforces it.

    Raises
    ------
    PackageError
        ONNX Runtime cannot run the network, or the network crashed, or it took too long or too much memory.
    DeviceError
        No ONNX Runtime is installed.
    """
    import_onnxruntime()
    parcel = io.BytesIO()
    for array in (np.frombuffer(raw, np.uint8), sequences, np.array(max_bytes + 3 * len(raw))):
        np.lib.format.write_array(parcel, array, allow_pickle=False)
    # By its path, since the process may have another sys.path. -P keeps the program's folder out of it.
    command = [sys.executable, "-P", str(Path(child_run.__file__))]
    try:
        done = subprocess.run(command, input=parcel.getbuffer(), capture_output=True, timeout=max_seconds)
    except subprocess.TimeoutExpired:
        raise PackageError(f"the network had not finished after {max_seconds:g} s, so it was stopped") from None
    if done.returncode:
        raise PackageError(_failure(done.returncode, done.stderr.decode("utf-8", "replace")))
    return _read_runs(io.BytesIO(done.stdout), len(sequences))


def _read_runs(file: io.BytesIO, n: int) -> Runs:
    names = np.lib.format.read_array(file, allow_pickle=False).tolist()

    def read() -> dict[str, Array]:
        return {name: np.lib.format.read_array(file, allow_pickle=False) for name in names}

    alone = [read() for _ in range(n)]
    together, backwards = read(), read()
    return Runs(alone, together, {name: values[::-1] for name, values in backwards.items()})


def _failure(code: int, stderr: str) -> str:
    if code < 0:
        return f"the network crashed ONNX Runtime ({signal.Signals(-code).name})"
    reason = " ".join((stderr.strip().splitlines() or ["no reason given"])[-1].split())[:500]
    return f"ONNX Runtime cannot run model.onnx: {reason}"
