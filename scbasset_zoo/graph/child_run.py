"""Run a network in a process of its own: a program that :mod:`scbasset_zoo.graph.limited_run` starts.

It reads three arrays from standard input: the model's bytes, one-hot sequences, and the memory limit in bytes. It writes the
names of the outputs, then all outputs for each sequence alone, for all sequences at once, and for all in reverse order.
It imports nothing of this package, so that it starts fast.
"""

import contextlib
import io
import os
import sys
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


def main() -> None:
    """Run the network on the arrays of standard input."""
    # ONNX Runtime may print to standard output, which carries the arrays.
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # NumPy cannot read arrays from a pipe, nor write them to one.
    parcel = io.BytesIO(sys.stdin.buffer.read())
    model, sequences, limit = (np.lib.format.read_array(parcel, allow_pickle=False) for _ in range(3))
    import onnxruntime

    _limit_memory(int(limit))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.tobytes(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    _write(results, np.array(names))
    batches = [*(sequences[i : i + 1] for i in range(len(sequences))), sequences, sequences[::-1]]
    for batch in batches:
        for output in session.run(names, {"sequence": np.ascontiguousarray(batch)}):
            _write(results, output)
    results.close()


def _write(file: BinaryIO, array: NDArray[Any]) -> None:
    parcel = io.BytesIO()
    np.lib.format.write_array(parcel, array, allow_pickle=False)
    file.write(parcel.getbuffer())


def _limit_memory(limit: int) -> None:
    """Limit the memory that this process can still take. macOS does not obey such a limit, and Windows has none."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + limit, size + limit))


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # noqa: BLE001  ONNX Runtime's own errors share no base but Exception
        sys.exit(f"{type(error).__name__}: {error}")
