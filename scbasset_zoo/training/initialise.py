"""Initialises the trunk of a network from a packaged model."""

from __future__ import annotations

import os

import keras
import numpy as np

from scbasset_zoo.errors import InputError
from scbasset_zoo.graph.layer_reader import read_layers
from scbasset_zoo.graph.model_proto import parse_model
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.progress import say
from scbasset_zoo.training.architecture import Network
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.wording import option
from scbasset_zoo.zoo.models import find_package

CALIBRATION_PEAKS = 256


def start_trunk_from(network: Network, package: str | os.PathLike[str], prepared: PreparedPeaks, seed: int) -> None:
    """Set the weights of the trunk of `network` to those of a package.

    In a package, batch normalisation is folded into the weights. It is unfolded again: the moving statistics of each layer
    are those of its outputs on 256 training peaks, and its scale and offset undo them. At inference the trunk then computes
    exactly what the package computes, and in training nearly so.

    Raises
    ------
    InputError
        The trunk of the package has another shape.
    PackageError
        The package is damaged.
    """
    opened = find_package(package)
    layers = read_layers(extract_trunk(parse_model(opened.model_bytes())))
    weights = [*((block.kernel, block.bias) for block in layers.blocks), (layers.dense_kernel, layers.dense_bias)]
    names = [*(f"conv_{block}" for block in range(len(layers.blocks))), "bottleneck"]
    trunk = network.trunk
    network_shapes = [tuple(layer.kernel.shape) for layer in trunk.layers if layer.name in names]
    package_shapes = [kernel.shape for kernel, _ in weights]
    if package_shapes != network_shapes:
        raise InputError(
            f"{option('init_from', str(package))}: the layers of the package have shapes {package_shapes}, those of this "
            f"network {network_shapes}. Choose the {option('width')}, {option('embedding_size')} and window length of the package."
        )
    for name, (kernel, bias) in zip(names, weights, strict=True):
        norm = trunk.get_layer(f"{name}_norm")
        trunk.get_layer(name).kernel.assign(kernel)
        norm.gamma.assign(np.ones_like(bias))
        norm.beta.assign(bias)
        norm.moving_mean.assign(np.zeros_like(bias))
        norm.moving_variance.assign(np.full_like(bias, 1 - norm.epsilon))
    rows = np.random.default_rng(seed).permutation(prepared.rows("train"))[:CALIBRATION_PEAKS]
    flank = prepared.flank
    codes = prepared.sequences[np.sort(rows)][:, flank : flank + prepared.sequence_length]
    outputs = keras.Model(trunk.inputs, [trunk.get_layer(name).output for name in names])
    for name, (_, bias), output in zip(names, weights, outputs.predict(dna.one_hot(codes), batch_size=32, verbose=0), strict=True):
        norm = trunk.get_layer(f"{name}_norm")
        values = output.reshape(-1, output.shape[-1]).astype(np.float64)
        mean, variance = values.mean(axis=0), values.var(axis=0)
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(variance)
        norm.gamma.assign(np.sqrt(variance + norm.epsilon))
        norm.beta.assign(bias + mean)
    say(f"trunk from {opened.card.id} {opened.card.version}")
