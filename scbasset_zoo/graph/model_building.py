"""Builds model.onnx from arrays of weights, without TensorFlow."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from scbasset_zoo.graph.contract import BATCH_OUTPUT
from scbasset_zoo.graph.graph_builder import GraphBuilder, value_info
from scbasset_zoo.graph.head import BATCH_INITIALIZERS, BatchPath
from scbasset_zoo.graph.layers import TrunkLayers

Array = NDArray[np.float32]


def build_trunk(layers: TrunkLayers) -> onnx.ModelProto:
    """Build the graph from `sequence` (N, length, 4) to `peak_embedding` (N, embedding size).

    :func:`scbasset_zoo.graph.layer_reader.read_layers` reads the same layers back from it.
    """
    graph = GraphBuilder(layers.gelu_slope)
    # Two-dimensional with one row: ONNX Runtime's one-dimensional convolutions are slower.
    x = graph.node("Unsqueeze", "sequence", graph.constant([2], name="row_axis"), name="one_row")
    x = graph.node("Transpose", x, name="channels_first", perm=[0, 3, 2, 1])
    for i, (block, length) in enumerate(zip(layers.blocks, layers.lengths, strict=False)):
        width = len(block.kernel)
        kernel = graph.constant(block.kernel.transpose(2, 1, 0)[:, :, None], name=f"conv_{i}_kernel")
        bias = graph.constant(block.bias, name=f"conv_{i}_bias")
        pads = [0, (width - 1) // 2, 0, width // 2]
        x = graph.node("Conv", graph.gelu(x, name=f"gelu_{i}"), kernel, bias, name=f"conv_{i}", kernel_shape=[1, width], pads=pads)
        if block.pool > 1:
            shape, missing = [1, block.pool], block.pooled_length(length) * block.pool - length
            pads = [0, block.pool_padding, 0, missing - block.pool_padding]
            x = graph.node("MaxPool", x, name=f"pool_{i}", kernel_shape=shape, strides=shape, pads=pads)
    x = graph.node("Transpose", graph.gelu(x, name="gelu_dense"), name="channels_last", perm=[0, 2, 3, 1])
    n_in, embedding_size = layers.dense_kernel.shape
    x = graph.node("Reshape", x, graph.constant([-1, n_in], name="flat_shape"), name="flat")
    kernel = graph.constant(layers.dense_kernel, name="bottleneck_kernel")
    bias = graph.constant(layers.dense_bias, name="bottleneck_bias")
    graph.gelu(graph.node("Gemm", x, kernel, bias, name="bottleneck"), name="peak_embedding")
    sequence = value_info("sequence", ["N", layers.sequence_length, 4])
    return graph.model("trunk", [sequence], [value_info("peak_embedding", ["N", embedding_size])])


def with_head(
    trunk: onnx.ModelProto, cell_embedding: Array, cell_intercept: Array, batches: BatchPath | None = None
) -> onnx.ModelProto:
    """Join a trunk and a head to a whole model, with the outputs in the order of the contract.

    Parameters
    ----------
    trunk : onnx.ModelProto
        Computes `peak_embedding` (N, embedding size) from `sequence` (N, length, 4).
    cell_embedding : float32 array of shape (embedding size, n_cells)
    cell_intercept : float32 array of shape (n_cells,)
    batches : BatchPath, optional
        The batch path of a batch-corrected model.
    """
    embedding_size, n_cells = cell_embedding.shape
    head = GraphBuilder()
    weights = head.constant(cell_embedding, name="cell_embedding"), head.constant(cell_intercept, name="cell_intercept")
    cell_path = head.node("MatMul", "peak_embedding", weights[0], name="cell_path")
    head.node("Add", cell_path, weights[1], name="logits")
    head.node("Sigmoid", "logits", name="accessibility")
    outputs = [("accessibility", n_cells), ("logits", n_cells), ("peak_embedding", embedding_size)]
    if batches is not None:
        named = zip(BATCH_INITIALIZERS, batches, strict=True)
        embedding, intercept, by_cell = (head.constant(array, name=name) for name, array in named)
        product = head.node("MatMul", "peak_embedding", embedding, name="batch_product")
        batch_path = head.node("Add", product, intercept, name="batch_path")
        batch_of_cells = head.node("MatMul", batch_path, by_cell, name="batch_of_cells")
        head.node("Add", "logits", batch_of_cells, name=BATCH_OUTPUT)
        outputs.append((BATCH_OUTPUT, n_cells))
    model = onnx.ModelProto()
    model.CopyFrom(trunk)
    model.graph.name = "scbasset"
    model.graph.node.extend(head.nodes)
    model.graph.initializer.extend(head.constants)
    del model.graph.output[:]
    model.graph.output.extend(value_info(name, ["N", size]) for name, size in outputs)
    return model
