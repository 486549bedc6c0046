"""A trunk of the published network's size with random weights, in the form that the exporter writes."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from scbasset_zoo.graph.layers import Block, TrunkLayers
from scbasset_zoo.graph.model_building import build_trunk

LENGTH = 1344
EMBEDDING_SIZE = 32
# Filters, kernel width and pool of each block.
BLOCKS = ((288, 17, 3), (288, 5, 2), (323, 5, 2), (363, 5, 2), (407, 5, 2), (456, 5, 2), (512, 5, 2), (256, 1, 1))


def random_trunk(seed: int = 0) -> onnx.ModelProto:
    """Return the trunk, from `sequence` (N, 1344, 4) to `peak_embedding` (N, 32).

    Weights are scaled so that activations neither vanish nor grow from block to block.
    """
    rng = np.random.default_rng(seed)

    def normal(shape: tuple[int, ...], scale: float) -> NDArray[np.float32]:
        return (rng.normal(size=shape) * scale).astype(np.float32)

    blocks, n_in, length = [], 4, LENGTH
    for n_out, width, pool in BLOCKS:
        blocks.append(Block(normal((width, n_in, n_out), 1.6 / np.sqrt(n_in * width)), normal((n_out,), 0.2), pool))
        n_in, length = n_out, length // pool
    n_flat = n_in * length
    dense_kernel, dense_bias = normal((n_flat, EMBEDDING_SIZE), 1 / np.sqrt(n_flat)), normal((EMBEDDING_SIZE,), 0.2)
    return build_trunk(TrunkLayers(LENGTH, tuple(blocks), dense_kernel, dense_bias, gelu_slope=1.702))
