"""From the Keras network to model.onnx: batch normalisation folded, training-only layers gone, the head as two initializers."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from scbasset_zoo.training.architecture import Network, gelu

OPSET = 18


def to_onnx(network: Network) -> onnx.ModelProto:
    """The network as an ONNX graph: `sequence` in; `accessibility`, `logits`, `peak_embedding` out.

    Batch normalisation is folded into the weights before it, in float64. Logits are those of the cell path: the batch path
    of the batch-corrected variant is training's account of the batches, and is left out.
    """
    trunk = _trunk_to_onnx(network)
    embedding, intercept = (np.asarray(weight, dtype=np.float32) for weight in (network.cell_head.kernel, network.cell_head.bias))
    return with_head(trunk, embedding, intercept)


def with_head(trunk: onnx.ModelProto, cell_embedding: NDArray[np.float32], cell_intercept: NDArray[np.float32]) -> onnx.ModelProto:
    """A trunk that ends in `peak_embedding` and a head, as one model with the outputs in the contract's order.

    Parameters
    ----------
    trunk : onnx.ModelProto
        `sequence` (N, length, 4) in, `peak_embedding` (N, bottleneck) out.
    cell_embedding : float32 array of shape (bottleneck, n_cells)
    cell_intercept : float32 array of shape (n_cells,)
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
    del graph.output[:]
    for name, size in (("accessibility", n_cells), ("logits", n_cells), ("peak_embedding", cell_embedding.shape[0])):
        graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", size]))
    return model


def _trunk_to_onnx(network: Network) -> onnx.ModelProto:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tf2onnx

    length = network.architecture.sequence_length
    function = tf.function(_inference(network), input_signature=[tf.TensorSpec((None, length, 4), tf.float32, name="sequence")])
    model, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=OPSET)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return model


def _inference(network: Network) -> Any:
    """The trunk at inference as a plain function of folded weights: convolutions and the dense layer gain a bias."""
    trunk, blocks = network.trunk, network.architecture.blocks
    layers = [*(f"conv_{block}" for block in range(len(blocks))), "bottleneck"]
    folded = [_fold(trunk.get_layer(name), trunk.get_layer(f"{name}_norm")) for name in layers]

    def function(sequence: tf.Tensor) -> dict[str, tf.Tensor]:
        # Two-dimensional with one row: one reshape at each end of the graph, not four around every convolution.
        x = tf.expand_dims(sequence, 1)
        for (_, _, pool), (kernel, bias) in zip(blocks, folded, strict=False):
            x = tf.nn.bias_add(tf.nn.conv2d(gelu(x), kernel[None], 1, "SAME"), bias)
            if pool > 1:
                x = tf.nn.max_pool2d(x, (1, pool), (1, pool), "SAME")
        kernel, bias = folded[-1]
        x = tf.reshape(gelu(x), (-1, kernel.shape[0]))
        return {"peak_embedding": gelu(tf.matmul(x, kernel) + bias)}

    return function


def _fold(layer: Any, norm: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel and bias of `layer` followed by batch normalisation with its moving statistics."""
    kernel, gamma, beta, mean, variance = (
        np.asarray(weight, dtype=np.float64)
        for weight in (layer.kernel, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return (kernel * scale).astype(np.float32), (beta - mean * scale).astype(np.float32)
