"""Runs a graph in batches of one size, whose input and output lie at fixed addresses, as CUDA graphs need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from scbasset_zoo.graph.plain_run import import_onnxruntime


class FixedBatches:
    """Runs a graph with one input and one output, in batches of one size.

    The memory of a batch is taken once, on the device; each run copies its input there and its output back. With a provider that
    records CUDA graphs (:func:`scbasset_zoo.runtime.nvidia.with_cuda_graphs`), the first run records all kernels of a pass, and
    later ones start them at once. The last batch is filled up with rows of zeros, whose results are dropped.

    Parameters
    ----------
    model : onnx.ModelProto
        Its first axis is the batch. The model is not changed.
    batch_size : int
    open_session : callable
        Takes the bytes of a model, and returns an `onnxruntime.InferenceSession`.
    memory : "cpu" or "cuda"
        Where the session's input and output lie.
    """

    def __init__(self, model: onnx.ModelProto, batch_size: int, open_session: Callable[[bytes], Any], memory: str) -> None:
        ort_value = import_onnxruntime().OrtValue
        self.batch_size = batch_size
        self._session = open_session(_of_batch_size(model, batch_size).SerializeToString())
        (read,), (written,) = self._session.get_inputs(), self._session.get_outputs()
        self._binding = self._session.io_binding()
        self._row_shape, self._dtype = tuple(read.shape[1:]), _DTYPES[read.type]
        # A CUDA graph holds their addresses, so they live as long as the session.
        self._input = ort_value.ortvalue_from_shape_and_type([batch_size, *read.shape[1:]], self._dtype, memory)
        self._output = ort_value.ortvalue_from_shape_and_type([batch_size, *written.shape[1:]], _DTYPES[written.type], memory)
        self._binding.bind_ortvalue_input(read.name, self._input)
        self._binding.bind_ortvalue_output(written.name, self._output)
        self._result_shape, self._result_dtype = tuple(written.shape[1:]), _DTYPES[written.type]

    def __call__(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the output for an input of any number of rows.

        Raises
        ------
        ValueError
            The rows have another shape or type than the graph's input.
        """
        if rows.shape[1:] != self._row_shape or rows.dtype != self._dtype:
            raise ValueError(f"rows must be {self._dtype} {self._row_shape}; found {rows.dtype} {rows.shape[1:]}.")
        results = np.empty((len(rows), *self._result_shape), self._result_dtype)
        for first in range(0, len(rows), self.batch_size):
            part = rows[first : first + self.batch_size]
            n_rows = len(part)
            if n_rows < self.batch_size:
                part = np.concatenate([part, np.zeros((self.batch_size - n_rows, *self._row_shape), self._dtype)])
            self._input.update_inplace(np.ascontiguousarray(part))
            self._session.run_with_iobinding(self._binding)
            results[first : first + n_rows] = self._output.numpy()[:n_rows]
        return results


_DTYPES: dict[str, Any] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
}


def _of_batch_size(model: onnx.ModelProto, batch_size: int) -> onnx.ModelProto:
    """Return a copy whose inputs and outputs have `batch_size` rows."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch_size
    # Shapes of inner values may name the axis.
    del fixed.graph.value_info[:]
    return fixed
