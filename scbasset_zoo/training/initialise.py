"""Starts the trunk of a network from a packaged model."""

from __future__ import annotations

import os

import keras
import numpy as np

from scbasset_zoo.errors import InputError
from scbasset_zoo.graph.layers import read_layers
from scbasset_zoo.graph.model_proto import parse_model
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.progress import say
from scbasset_zoo.training.architecture import Network
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.zoo.models import find_package

CALIBRATION_PEAKS = 256


def start_trunk_from(network: Network, package: str | os.PathLike[str], prepared: PreparedPeaks, seed: int) -> None:
    """Give the trunk of `network` the weights of a package.

    A package holds batch normalisation folded into its weights. It is unfolded so that the trunk computes what the package
    does at inference exactly, and in training nearly so: each layer's moving statistics are taken from its outputs on 256
    training peaks, and its scale and offset undo them.

    Raises
    ------
    InputError
        The package's trunk is of another shape.
    PackageError
        The package is damaged.
    """
    opened = find_package(package)
    layers = read_layers(extract_trunk(parse_model(opened.model_bytes())))
    weights = [*((block.kernel, block.bias) for block in layers.blocks), (layers.dense_kernel, layers.dense_bias)]
    names = [*(f"conv_{block}" for block in range(len(layers.blocks))), "bottleneck"]
    trunk = network.trunk
    wanted = [tuple(layer.kernel.shape) for layer in trunk.layers if layer.name in names]
    found = [kernel.shape for kernel, _ in weights]
    if found != wanted:
        raise InputError(
            f"--init-from {package}: its layers have shapes {found}, this network's {wanted}. "
            "Choose the same --width, --bottleneck and window length as the package."
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
