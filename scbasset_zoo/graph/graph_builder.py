"""The one builder of ONNX graphs: nodes, constants and GELU, then a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from scbasset_zoo.version import __version__

OPSET = 18
# The oldest file format that can hold this opset.
IR_VERSION = 8

Dimension = int | str | None


class GraphBuilder:
    """Collects the nodes and constants of an ONNX graph.

    Each node has one output. Methods return the name of that output, to be used as an input of later nodes. Nodes and
    constants without a name get one that contains their number.

    Parameters
    ----------
    gelu_slope : float, optional
        `a` in GELU, x * sigmoid(a x). Required for :meth:`gelu`.
    """

    def __init__(self, gelu_slope: float | None = None) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._slope = None if gelu_slope is None else self.constant(gelu_slope, name="gelu_slope")

    def constant(self, values: ArrayLike, *, name: str | None = None) -> str:
        """Add a constant tensor: float32 for floating-point values, int64 for whole numbers."""
        array = np.asarray(values)
        array = np.asarray(array, dtype=np.float32 if array.dtype.kind == "f" else np.int64, order="C")
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a node; its output has the node's name."""
        name = name or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def gelu(self, x: str, *, name: str | None = None) -> str:
        """Add GELU in the form x * sigmoid(a x), with the slope a of this builder."""
        if self._slope is None:
            raise ValueError("GraphBuilder.gelu needs a builder with a gelu_slope.")
        scaled = self.node("Mul", x, self._slope, name=name and f"{name}_scaled")
        gate = self.node("Sigmoid", scaled, name=name and f"{name}_gate")
        return self.node("Mul", x, gate, name=name)

    def model(self, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """Return the graph as a model; :func:`value_info` makes the entries of `inputs` and `outputs`."""
        graph = helper.make_graph(self.nodes, name, list(inputs), list(outputs), self.constants)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="scbasset_zoo",
            producer_version=__version__,
        )


def value_info(name: str, shape: Sequence[Dimension], kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """Declare an input or output of a graph.

    Parameters
    ----------
    name : str
    shape : sequence
        A size for each axis. A string names an axis of variable size; None leaves it without a name.
    kind : int
        The type of the values, a member of `onnx.TensorProto.DataType`.
    """
    return helper.make_tensor_value_info(name, kind, list(shape))
