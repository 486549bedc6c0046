"""The gauge of model.onnx: mean and covariance of the peak embeddings, which give its latent space units.

The logits, ``peak_embedding @ cell_embedding + cell_intercept``, stay the same if all peak embeddings are shifted, or are
multiplied by an invertible matrix, and the head undoes it. So the weights alone do not say how deep a cell is, or how far apart
two cells are. With the mean and the covariance of the peak embeddings they do: :mod:`scbasset_zoo.runtime.canonical_space`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from scbasset_zoo.errors import InputError, PackageError

MEAN, COVARIANCE = "peak_embedding_mean", "peak_embedding_covariance"
# Rounding makes the smallest eigenvalue of a singular covariance negative, by some 1e-16 of the largest.
_ROUNDING = 1e-9


class Gauge(NamedTuple):
    """Mean and covariance of the peak embeddings over the training peaks.

    Attributes
    ----------
    mean : float64 (embedding_size,)
    covariance : float64 (embedding_size, embedding_size)
        The mean product of deviations from the mean, divided by the number of peaks.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def gauge_of(peak_embedding: NDArray[Any]) -> Gauge:
    """Compute the gauge from the embeddings of the training peaks, (n_peaks, embedding_size), in float64.

    Raises
    ------
    InputError
        There are fewer than two peaks.
    """
    if len(peak_embedding) < 2:
        raise InputError(f"The gauge needs the embeddings of at least two training peaks; found {len(peak_embedding)}.")
    values = np.asarray(peak_embedding, dtype=np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    return Gauge(mean, centred.T @ centred / len(values))


def with_gauge(model: onnx.ModelProto, gauge: Gauge) -> onnx.ModelProto:
    """Return a copy of a model with this gauge, in place of the one that it may have. Its outputs do not change."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    for name, values in zip((MEAN, COVARIANCE), gauge, strict=True):
        kept = [tensor for tensor in graph.initializer if tensor.name != name]
        del graph.initializer[:]
        graph.initializer.extend([*kept, numpy_helper.from_array(np.asarray(values, dtype=np.float64), name)])
        # Without a node that reads it, ONNX Runtime warns of each initializer at every opening.
        if not any(name in node.input for node in graph.node):
            graph.node.append(helper.make_node("Identity", [name], [f"{name}_kept"], name=f"{name}_kept"))
    return copy


def read_gauge(model: onnx.ModelProto) -> Gauge | None:
    """Read the gauge from the initializers of the graph; None if it has none.

    Raises
    ------
    PackageError
        One of the two is missing, is in another file, or :func:`gauge_problems` finds something wrong.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in (MEAN, COVARIANCE)}
    if not tensors:
        return None
    if missing := [name for name in (MEAN, COVARIANCE) if name not in tensors]:
        raise PackageError(f"model.onnx has no initializer {missing[0]!r}, which belongs to the other half of its gauge.")
    size = tensors[MEAN].dims[0] if tensors[MEAN].dims else 0
    if problems := list(gauge_problems(model, size)):
        raise PackageError(f"model.onnx {problems[0]}.")
    return Gauge(*(numpy_helper.to_array(tensors[name]) for name in (MEAN, COVARIANCE)))


def gauge_problems(model: onnx.ModelProto, embedding_size: int) -> Iterator[str]:
    """Check type, shape and values of the gauge, as lines to follow "model.onnx"."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for name, shape in ((MEAN, (embedding_size,)), (COVARIANCE, (embedding_size, embedding_size))):
        tensor = tensors.get(name)
        if tensor is None:
            yield f"has no initializer {name!r}"
            return
        if tensor.data_location == TensorProto.EXTERNAL:
            yield f"keeps {name} in another file; all weights must be inside"
            return
        if (tuple(tensor.dims), tensor.data_type) != (shape, TensorProto.DOUBLE):
            yield f"initializer {name} must be float64 of shape {shape}; found shape {tuple(tensor.dims)}"
            return
    covariance = numpy_helper.to_array(tensors[COVARIANCE])
    largest = np.abs(covariance).max(initial=0.0)
    if not np.isfinite(covariance).all() or not np.allclose(covariance, covariance.T, rtol=0, atol=_ROUNDING * largest):
        yield f"{COVARIANCE} is not symmetric, so it is no covariance"
    elif np.linalg.eigvalsh(covariance).min(initial=0.0) < -_ROUNDING * largest:
        yield f"{COVARIANCE} has negative eigenvalues, so it is no covariance"
