"""Converts the Keras network to model.onnx: batch normalisation is folded, layers for training are left out."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from numpy.typing import NDArray

from scbasset_zoo.graph.folding import fold_batch_normalisation
from scbasset_zoo.graph.graph_builder import OPSET
from scbasset_zoo.graph.head import BatchPath
from scbasset_zoo.graph.model_building import with_head
from scbasset_zoo.training.architecture import Network
from scbasset_zoo.training.layers import gelu


def to_onnx(network: Network) -> onnx.ModelProto:
    """Convert a network to an ONNX model with input `sequence` and outputs `accessibility`, `logits` and `peak_embedding`.

    Batch normalisation is folded into the weights before it, in float64. `logits` are those of the cell path; the
    batch-corrected variant has a fourth output, `batch_logits`, with the batch path added.
    """
    trunk = _trunk_to_onnx(network)
    embedding, intercept = (np.asarray(weight, dtype=np.float32) for weight in (network.cell_head.kernel, network.cell_head.bias))
    if network.batch_head is None:
        return with_head(trunk, embedding, intercept)
    weights = (network.batch_head.kernel, network.batch_head.bias, network.batch_by_cell)
    return with_head(trunk, embedding, intercept, BatchPath(*(np.asarray(weight, dtype=np.float32) for weight in weights)))


def _trunk_to_onnx(network: Network) -> onnx.ModelProto:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tf2onnx

    length = network.architecture.sequence_length
    function = tf.function(_inference(network), input_signature=[tf.TensorSpec((None, length, 4), tf.float32, name="sequence")])
    model, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=OPSET)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    model.producer_version = version("tf2onnx")  # by default also its commit, which is "None" in a release
    return model


def _inference(network: Network) -> Any:
    """Return the trunk at inference as a function with folded weights: convolutions and the dense layer have a bias."""
    trunk, blocks = network.trunk, network.architecture.blocks
    layers = [*(f"conv_{block}" for block in range(len(blocks))), "bottleneck"]
    folded = [_fold(trunk.get_layer(name), trunk.get_layer(f"{name}_norm")) for name in layers]

    def function(sequence: tf.Tensor) -> dict[str, tf.Tensor]:
        # Two-dimensional with one row, which needs a reshape at each end of the graph instead of four around each convolution.
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
    """Return kernel and bias of `layer` with the batch normalisation after it folded in."""
    return fold_batch_normalisation(layer.kernel, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance, norm.epsilon)
