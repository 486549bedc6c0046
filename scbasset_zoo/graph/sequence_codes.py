"""Gives a trunk another input: sequence codes of one byte a base, which the graph itself encodes as one-hot."""

from __future__ import annotations

import numpy as np
import onnx

from scbasset_zoo.graph.contract import INPUT_NAME
from scbasset_zoo.inputs import dna

CODES_INPUT = "sequence_codes"
_TABLE, _INDICES = "one_hot_of_codes", "indices_of_codes"


def with_codes_input(trunk: onnx.ModelProto) -> onnx.ModelProto:
    """Return a trunk whose input is int8 codes, (N, length), instead of float32 one-hot, (N, length, 4).

    A sixteenth of the bytes is copied to the device. The one-hot encoding is looked up, so the results are the same to the last
    bit.

    Parameters
    ----------
    trunk : onnx.ModelProto
        It is not changed. It has no value of the names that are added.
    """
    result = onnx.ModelProto()
    result.CopyFrom(trunk)
    graph = result.graph
    batch, length, _ = next(value for value in graph.input if value.name == INPUT_NAME).type.tensor_type.shape.dim
    codes = onnx.helper.make_tensor_value_info(
        CODES_INPUT, onnx.TensorProto.INT8, [batch.dim_param or batch.dim_value or "N", length.dim_value]
    )
    del graph.input[:]
    graph.input.append(codes)
    table = dna.one_hot(np.arange(dna.N + 1, dtype=np.int8))
    graph.initializer.append(onnx.numpy_helper.from_array(table, _TABLE))
    nodes = [
        onnx.helper.make_node("Cast", [CODES_INPUT], [_INDICES], to=onnx.TensorProto.INT32),
        onnx.helper.make_node("Gather", [_TABLE, _INDICES], [INPUT_NAME], axis=0),
        *graph.node,
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    return result
