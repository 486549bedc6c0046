"""Reads the head of model.onnx: cell embedding, cell intercept, and the batch path of a batch-corrected model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from scbasset_zoo.errors import PackageError
from scbasset_zoo.graph.contract import BATCH_OUTPUT

Array = NDArray[np.float32]


class BatchPath(NamedTuple):
    """The part of a batch-corrected model that computes the effects of batches on the logits.

    It adds (peak_embedding @ embedding + intercept) @ by_cell to the logits.

    Attributes
    ----------
    embedding : float32 (embedding_size, n_batches)
    intercept : float32 (n_batches,)
    by_cell : float32 (n_batches, n_cells)
        1 where the cell belongs to the batch, else 0.
    """

    embedding: Array
    intercept: Array
    by_cell: Array


BATCH_INITIALIZERS = {f"batch_{field}": rank for field, rank in zip(BatchPath._fields, (2, 1, 2), strict=True)}


def read_head(model: onnx.ModelProto) -> tuple[Array, Array]:
    """Read the cell embedding and the cell intercept from the initializers of the graph.

    Returns
    -------
    cell_embedding, cell_intercept : float32 arrays of shapes (n_cells, embedding_size) and (n_cells,)

    Raises
    ------
    PackageError
        One of them is missing, is in another file, or has the wrong type or shape.
    """
    embedding, intercept = _named_weights(model, {"cell_embedding": 2, "cell_intercept": 1})
    if embedding.shape[1] != intercept.shape[0]:
        raise PackageError(f"model.onnx: cell_embedding has {embedding.shape[1]:,} cells, cell_intercept {intercept.shape[0]:,}.")
    return np.ascontiguousarray(embedding.T), intercept


def read_batch_path(model: onnx.ModelProto) -> BatchPath | None:
    """Read the batch path from the initializers of the graph; None if the model has no batch path.

    Raises
    ------
    PackageError
        One of its weights is missing, is in another file, or has the wrong type or shape.
    """
    if all(output.name != BATCH_OUTPUT for output in model.graph.output):
        return None
    path = BatchPath(*_named_weights(model, BATCH_INITIALIZERS))
    if not path.embedding.shape[1] == path.intercept.shape[0] == path.by_cell.shape[0]:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(BATCH_INITIALIZERS, path, strict=True))
        raise PackageError(f"model.onnx: the weights of the batch path have different numbers of batches: {shapes}.")
    return path


def _named_weights(model: onnx.ModelProto, ranks: Mapping[str, int]) -> list[Array]:
    """Read float32 initializers of the given names and ranks."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in ranks}
    for name, rank in ranks.items():
        if name not in tensors:
            raise PackageError(f"model.onnx has no initializer {name!r}, which holds weights of the head.")
        tensor = tensors[name]
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise PackageError(f"model.onnx keeps {name} in another file; all weights must be inside.")
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) != rank:
            raise PackageError(f"model.onnx: {name} must be float32 of rank {rank}; found shape {tuple(tensor.dims)}.")
    try:
        return [numpy_helper.to_array(tensors[name]) for name in ranks]
    except ValueError as error:
        raise PackageError(f"model.onnx: the weights of the head do not have the shape that they declare: {error}") from error
