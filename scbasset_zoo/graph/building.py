"""The parts of model.onnx from plain arrays, without TensorFlow: folded layers, the trunk, the head."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from scbasset_zoo.graph.contract import BATCH_OUTPUT
from scbasset_zoo.graph.head import BATCH_INITIALIZERS, BatchPath
from scbasset_zoo.graph.layers import TrunkLayers
from scbasset_zoo.version import __version__

Array = NDArray[np.float32]
OPSET = 18
# The oldest file format that holds this opset.
IR_VERSION = 8


def fold_batch_normalisation(
    kernel: Array, gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float = 1e-3
) -> tuple[Array, Array]:
    """Kernel and bias of a layer without bias and the batch normalisation after it, in one; computed in float64.

    Parameters
    ----------
    kernel : array of shape (..., channels out)
    gamma, beta, mean, variance : arrays of shape (channels out,)
        The normalisation's scale and offset, and its moving statistics.
    epsilon : float
        Added to the variance.

    Returns
    -------
    kernel, bias : float32 arrays of shapes (..., channels out) and (channels out,)
    """
    k, g, b, m, v = (np.asarray(array, dtype=np.float64) for array in (kernel, gamma, beta, mean, variance))
    scale = g / np.sqrt(v + epsilon)
    return (k * scale).astype(np.float32), (b - m * scale).astype(np.float32)


def build_trunk(layers: TrunkLayers) -> onnx.ModelProto:
    """The graph from `sequence` (N, length, 4) to `peak_embedding` (N, embedding size); :func:`read_layers` reads it back."""
    draw = _Drawing(layers.gelu_slope)
    # Two-dimensional with one row: ONNX Runtime's one-dimensional convolutions are slower.
    x = draw.node("Unsqueeze", "sequence", draw.weight("row_axis", np.array([2])), name="one_row")
    x = draw.node("Transpose", x, name="channels_first", perm=[0, 3, 2, 1])
    for i, (block, length) in enumerate(zip(layers.blocks, layers.lengths, strict=False)):
        width = len(block.kernel)
        kernel = draw.weight(f"conv_{i}_kernel", np.ascontiguousarray(block.kernel.transpose(2, 1, 0)[:, :, None]))
        x = draw.node(
            "Conv", draw.gelu(x, f"gelu_{i}"), kernel, draw.weight(f"conv_{i}_bias", block.bias),
            name=f"conv_{i}", kernel_shape=[1, width], pads=[0, (width - 1) // 2, 0, width // 2],
        )  # fmt: skip
        if block.pool > 1:
            shape, missing = [1, block.pool], block.pooled_length(length) * block.pool - length
            pads = [0, block.pool_padding, 0, missing - block.pool_padding]
            x = draw.node("MaxPool", x, name=f"pool_{i}", kernel_shape=shape, strides=shape, pads=pads)
    x = draw.node("Transpose", draw.gelu(x, "gelu_dense"), name="channels_last", perm=[0, 2, 3, 1])
    n_in, size = layers.dense_kernel.shape
    x = draw.node("Reshape", x, draw.weight("flat_shape", np.array([-1, n_in])), name="flat")
    dense = draw.weight("bottleneck_kernel", layers.dense_kernel), draw.weight("bottleneck_bias", layers.dense_bias)
    draw.gelu(draw.node("Gemm", x, *dense, name="bottleneck"), "peak_embedding")
    graph = helper.make_graph(
        draw.nodes,
        "trunk",
        [helper.make_tensor_value_info("sequence", onnx.TensorProto.FLOAT, ["N", layers.sequence_length, 4])],
        [helper.make_tensor_value_info("peak_embedding", onnx.TensorProto.FLOAT, ["N", size])],
        draw.weights,
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="scbasset_zoo",
        producer_version=__version__,
    )


def with_head(
    trunk: onnx.ModelProto,
    cell_embedding: Array,
    cell_intercept: Array,
    batches: BatchPath | None = None,
) -> onnx.ModelProto:
    """A trunk that ends in `peak_embedding` and a head, as one model with the outputs in the contract's order.

    Parameters
    ----------
    trunk : onnx.ModelProto
        `sequence` (N, length, 4) in, `peak_embedding` (N, bottleneck) out.
    cell_embedding : float32 array of shape (bottleneck, n_cells)
    cell_intercept : float32 array of shape (n_cells,)
    batches : BatchPath, optional
        Of a batch-corrected model.
    """
    model = onnx.ModelProto()
    model.CopyFrom(trunk)
    graph, n_cells = model.graph, cell_embedding.shape[1]
    graph.name = "scbasset"
    graph.initializer.extend(
        [
            numpy_helper.from_array(cell_embedding, "cell_embedding"),
            numpy_helper.from_array(cell_intercept, "cell_intercept"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("MatMul", ["peak_embedding", "cell_embedding"], ["cell_path"], name="cell_path"),
            helper.make_node("Add", ["cell_path", "cell_intercept"], ["logits"], name="logits"),
            helper.make_node("Sigmoid", ["logits"], ["accessibility"], name="accessibility"),
        ]
    )
    outputs = [("accessibility", n_cells), ("logits", n_cells), ("peak_embedding", cell_embedding.shape[0])]
    if batches is not None:
        graph.initializer.extend(map(numpy_helper.from_array, batches, BATCH_INITIALIZERS))
        embedding, intercept, by_cell = BATCH_INITIALIZERS
        graph.node.extend(
            [
                helper.make_node("MatMul", ["peak_embedding", embedding], ["batch_product"], name="batch_product"),
                helper.make_node("Add", ["batch_product", intercept], ["batch_path"], name="batch_path"),
                helper.make_node("MatMul", ["batch_path", by_cell], ["batch_of_cells"], name="batch_of_cells"),
                helper.make_node("Add", ["logits", "batch_of_cells"], [BATCH_OUTPUT], name=BATCH_OUTPUT),
            ]
        )
        outputs.append((BATCH_OUTPUT, n_cells))
    del graph.output[:]
    for name, size in outputs:
        graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", size]))
    return model


class _Drawing:
    """Nodes and weights of a graph that is being drawn; each node has one output, of its own name."""

    def __init__(self, gelu_slope: float) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._slope = self.weight("gelu_slope", np.array(gelu_slope, dtype=np.float32))

    def weight(self, name: str, values: NDArray[np.generic]) -> str:
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, *inputs: str, name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def gelu(self, x: str, name: str) -> str:
        gate = self.node("Sigmoid", self.node("Mul", x, self._slope, name=f"{name}_scaled"), name=f"{name}_gate")
        return self.node("Mul", x, gate, name=name)
