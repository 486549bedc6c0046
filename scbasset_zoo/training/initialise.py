"""Initialises a network from a packaged model: its trunk, and its head for the cells that the package has."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import onnx
import pandas as pd

from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.graph.head import read_batch_path, read_head
from scbasset_zoo.graph.layer_reader import read_layers
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.package.batch_names import batch_names
from scbasset_zoo.package.reading import Package
from scbasset_zoo.progress import say
from scbasset_zoo.training.architecture import Network
from scbasset_zoo.training.batches import Batches
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.wording import option
from scbasset_zoo.zoo.models import find_package

CALIBRATION_PEAKS, CALIBRATION_BATCH = 256, 32


def start_from(
    network: Network, package: str | os.PathLike[str], prepared: PreparedPeaks, batches: Batches | None, seed: int
) -> dict[str, Any]:
    """Set the weights of a network to those of a package, and say which in one line.

    The trunk is that of the package. In a package, batch normalisation is folded into the weights. It is unfolded again: the
    moving statistics of each layer are those of its outputs on 256 training peaks, and its scale and offset undo them. At
    inference the trunk then computes exactly what the package computes, and in training nearly so.

    Cells whose barcode is that of a cell of the package get its embedding and intercept. In a batch-corrected network, batches
    with the name of a batch of the package get its weights. The other cells and batches keep the random weights that they have.

    Parameters
    ----------
    network : Network
    package : path or str
        Folder, URL or name of a package.
    prepared : PreparedPeaks
    batches : Batches or None
        The batches of a batch-corrected network.
    seed : int
        Draws the 256 training peaks.

    Returns
    -------
    dict
        id, version and card_sha256 of the package, and n_cells and n_batches: how many start from it.

    Raises
    ------
    InputError
        The trunk of the package has another shape.
    PackageError
        The package is damaged.
    """
    opened = find_package(package)
    model, cells = opened.network(), opened.cells()
    if len(cells) != opened.card.cells.n_cells:
        raise PackageError(f"{opened.folder}: the network has {opened.card.cells.n_cells:,} cells, cells.parquet {len(cells):,}.")
    _start_trunk(network, model, package, prepared, seed)
    n_cells = _start_cells(network, model, cells, prepared)
    n_batches = _start_batches(network, model, opened, cells, batches)
    card = opened.card
    say(f"trunk from {card.id} {card.version}; {_head_in_words(prepared.n_cells, n_cells, batches, n_batches)}")
    return {
        "id": card.id,
        "version": card.version,
        "card_sha256": opened.card_sha256,
        "n_cells": n_cells,
        "n_batches": n_batches,
    }


def _start_trunk(
    network: Network, model: onnx.ModelProto, package: str | os.PathLike[str], prepared: PreparedPeaks, seed: int
) -> None:
    layers = read_layers(extract_trunk(model))
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
    # In float64, where the square of the mean may be taken from the mean of the squares.
    sums = [np.zeros((2, len(bias))) for _, bias in weights]
    for batch in np.array_split(codes, -(-len(codes) // CALIBRATION_BATCH)):
        for of_layer, output in zip(sums, outputs.predict_on_batch(dna.one_hot(batch)), strict=True):
            values = output.reshape(-1, output.shape[-1]).astype(np.float64)
            of_layer += len(batch) * np.array([values.mean(axis=0), np.square(values).mean(axis=0)])
    for name, (_, bias), of_layer in zip(names, weights, sums, strict=True):
        norm = trunk.get_layer(f"{name}_norm")
        mean, square = of_layer / len(codes)
        variance = square - np.square(mean)
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(variance)
        norm.gamma.assign(np.sqrt(variance + norm.epsilon))
        norm.beta.assign(bias + mean)


def _start_cells(network: Network, model: onnx.ModelProto, cells: pd.DataFrame, prepared: PreparedPeaks) -> int:
    """Set the weights of the cells that a package has, and return how many these are."""
    embedding, intercept = read_head(model)
    rows, positions = _matches(prepared.cells.index, cells.index)
    kernel, bias = (weights.copy() for weights in network.cells())
    kernel[:, rows], bias[rows] = embedding[positions].T, intercept[positions]
    network.set_cells(kernel, bias)
    return len(rows)


def _start_batches(network: Network, model: onnx.ModelProto, package: Package, cells: pd.DataFrame, batches: Batches | None) -> int:
    """Set the weights of the batches that a package has by name, and return how many these are."""
    path, correction = read_batch_path(model), package.card.batch_correction
    if network.batch_head is None or batches is None or path is None or correction is None:
        return 0
    rows, positions = _matches(batches.names, batch_names(cells, correction.column, path.by_cell))
    kernel, bias = np.asarray(network.batch_head.kernel).copy(), np.asarray(network.batch_head.bias).copy()
    kernel[:, rows], bias[rows] = path.embedding[:, positions], path.intercept[positions]
    network.batch_head.kernel.assign(kernel)
    network.batch_head.bias.assign(bias)
    return len(rows)


def _matches(names: Iterable[str], names_of_package: Iterable[str | None]) -> tuple[list[int], list[int]]:
    """Return the positions of the names that a package has, here and in the package."""
    position = {name: number for number, name in enumerate(names_of_package) if name is not None}
    pairs = [(row, position[name]) for row, name in enumerate(map(str, names)) if name in position]
    return [row for row, _ in pairs], [number for _, number in pairs]


def _head_in_words(n_cells: int, n_started: int, batches: Batches | None, n_batches: int) -> str:
    if not n_started:
        cells = f"none of the {n_cells:,} cells has a barcode of this model, so their weights start at random"
    elif n_started == n_cells:
        cells = f"all {n_cells:,} cells start from its weights"
    else:
        cells = f"{n_started:,} of {n_cells:,} cells start from its weights, the other {n_cells - n_started:,} at random"
    return cells if batches is None else f"{cells}; {n_batches:,} of {len(batches.names):,} batches start from its weights"
