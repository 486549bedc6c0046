"""Rewrites the GELU of a graph, x * sigmoid(1.702 x), into a form that OpenVINO computes right."""

from __future__ import annotations

import numpy as np
import onnx

_INVERSE = "_inverse"


def with_scaled_gelu(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph whose GELU is (s x * sigmoid(s x)) / s, with the slope s of x * sigmoid(s x).

    OpenVINO fuses x * sigmoid(s x) behind a max pool into one operation, and in float32 loses s there: it computes x * sigmoid(x),
    which is up to 0.15 away. Written as above, the fused operation has no slope to lose. The result is the same but for rounding.

    Parameters
    ----------
    model : onnx.ModelProto
        It is not changed. A product of other factors stays as it is.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    made_by = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        parts = _parts_of_gelu(node, made_by, constants)
        if parts is None:
            nodes.append(node)
            continue
        scaled, gate, slope = parts
        inverse = slope + _INVERSE
        if inverse not in constants:
            values = onnx.numpy_helper.to_array(constants[slope])
            constants[inverse] = onnx.numpy_helper.from_array((1 / values.astype(np.float64)).astype(values.dtype), inverse)
            result.graph.initializer.append(constants[inverse])
        (name,) = node.output
        nodes.append(onnx.helper.make_node("Mul", [scaled, gate], [f"{name}_scaled_up"]))
        nodes.append(onnx.helper.make_node("Mul", [f"{name}_scaled_up", inverse], [name]))
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


def _parts_of_gelu(
    node: onnx.NodeProto, made_by: dict[str, onnx.NodeProto], constants: dict[str, onnx.TensorProto]
) -> tuple[str, str, str] | None:
    """Return the names of s x, sigmoid(s x) and s if a node computes x * sigmoid(s x), or else None."""
    if node.op_type != "Mul":
        return None
    for value, gate in (node.input, reversed(node.input)):
        sigmoid = made_by.get(gate)
        product = made_by.get(sigmoid.input[0]) if sigmoid is not None and sigmoid.op_type == "Sigmoid" else None
        if product is None or product.op_type != "Mul" or value not in product.input:
            continue
        slopes = [name for name in product.input if name != value and name in constants]
        if slopes and (onnx.numpy_helper.to_array(constants[slopes[0]]) != 0).all():
            return product.output[0], gate, slopes[0]
    return None
