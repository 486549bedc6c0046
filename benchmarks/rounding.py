"""Graphs that round as a processor of lower precision does, so that what a precision costs can be measured on any CPU."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

SIGNIFICANT_BITS = {"tf32": 11, "float16": 11, "bfloat16": 8}
_PRODUCTS = ("Conv", "Gemm", "MatMul")
_FLOAT32_BITS = 24
# Nodes that hand on some of their inputs as they are. To round them again would change nothing.
_MOVES = ("Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


def rounded(values: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Round float32 numbers to some significant bits (Veltkamp's splitting; Dekker 1971, Numerische Mathematik 18).

    The range of exponents stays that of float32, so float16's limits of 6e-8 and 65,504 are not part of it.
    """
    scaled = values * np.float32(2 ** (_FLOAT32_BITS - bits) + 1)
    return scaled - (scaled - values)


def with_rounded_factors(model: onnx.ModelProto, bits: int) -> onnx.ModelProto:
    """Return a graph that rounds both factors of each convolution and matrix product. Sums and all else stay float32."""
    return _with_rounding(model, bits, rounds_results=False)


def with_rounded_values(model: onnx.ModelProto, bits: int) -> onnx.ModelProto:
    """Return a graph that also rounds the result of each node up to the last convolution, as if it were stored so.

    Factors after the last convolution are not rounded.
    """
    return _with_rounding(model, bits, rounds_results=True)


def _with_rounding(model: onnx.ModelProto, bits: int, rounds_results: bool) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    last = max((i for i, node in enumerate(model.graph.node) if node.op_type == "Conv"), default=-1)
    weights = {tensor.name: tensor for tensor in result.graph.initializer}
    splitter, nodes, used = f"splitter_{bits}", [], set[str]()

    def rounding(name: str) -> str:
        """Round a value or a weight, once, and return the name of the result."""
        short = f"{name}_rounded"
        if short not in used:
            used.add(short)
            if name in weights:
                values = rounded(numpy_helper.to_array(weights[name]), bits)
                result.graph.initializer.append(numpy_helper.from_array(values, short))
            else:
                nodes.append(helper.make_node("Mul", [name, splitter], [f"{name}_scaled_up"]))
                nodes.append(helper.make_node("Sub", [f"{name}_scaled_up", name], [f"{name}_excess"]))
                nodes.append(helper.make_node("Sub", [f"{name}_scaled_up", f"{name}_excess"], [short]))
        return short

    stored: dict[str, str] = {}
    for i, node in enumerate(model.graph.node):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        is_stored = rounds_results and i <= last
        if node.op_type in _PRODUCTS and (is_stored or not rounds_results):
            n_rounded = 3 if is_stored else 2  # the third input is the bias, which is no factor
            copy.input[:n_rounded] = [stored.get(name) or rounding(name) for name in node.input[:n_rounded]]
        else:
            copy.input[:] = [stored.get(name, name) for name in node.input]
        nodes.append(copy)
        if is_stored and node.op_type not in _MOVES:
            stored[node.output[0]] = rounding(node.output[0])
    result.graph.initializer.append(numpy_helper.from_array(np.float32(2 ** (_FLOAT32_BITS - bits) + 1), splitter))
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result
