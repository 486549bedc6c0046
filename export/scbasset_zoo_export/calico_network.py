"""Reads the published network from Keras 2 weights: checks its layers and folds batch normalisation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scbasset_zoo.errors import InputError
from scbasset_zoo.graph.folding import fold_batch_normalisation
from scbasset_zoo.graph.layers import Block, TrunkLayers
from scbasset_zoo_export.keras_weights import Array, read_weights

SEQUENCE_LENGTH = 1344
# Kernel and pool width of each convolution; the number of filters is read from the weights.
KERNELS_AND_POOLS = ((17, 3), *[(5, 2)] * 6, (1, 1))
GELU_SLOPE = 1.702
# How many layers of each kind the network may have; the third dense layer is the batch path.
_LAYER_COUNTS = {"conv1d": (8,), "batch_normalization": (9,), "dense": (2, 3)}

Weights = Mapping[str, Mapping[str, Array]]


@dataclass(frozen=True)
class PublishedNetwork:
    """A network of the published trainer.

    Attributes
    ----------
    trunk : TrunkLayers
        With batch normalisation folded into the weights.
    cell_head, batch_head : (kernel, bias)
        Arrays of shape (k, n) and (n,) for n cells or batches; `batch_head` is None without batch correction.
    n_parameters : int
        Number of trainable parameters.
    keras_version : str
        Version of Keras that wrote the weights, or "".
    """

    trunk: TrunkLayers
    cell_head: tuple[Array, Array]
    batch_head: tuple[Array, Array] | None
    n_parameters: int
    keras_version: str

    @property
    def n_cells(self) -> int:
        return len(self.cell_head[1])


def read_network(path: Path) -> PublishedNetwork:
    """Read the network from an HDF5 file of weights.

    Raises
    ------
    InputError
        The file is damaged, or holds another network.
    """
    weights, keras_version = read_weights(path)
    layers = _layers_in_order(path, weights)
    blocks, n_channels, length = [], 4, SEQUENCE_LENGTH
    for (width, pool), conv, norm in zip(KERNELS_AND_POOLS, layers["conv1d"], layers["batch_normalization"], strict=False):
        block = Block(*_folded(path, weights, conv, (width, n_channels, None), norm), pool)
        blocks.append(block)
        n_channels, length = len(block.bias), block.pooled_length(length)
    bottleneck, *heads = layers["dense"]
    dense = _folded(path, weights, bottleneck, (length * n_channels, None), layers["batch_normalization"][-1])
    cell_head, *batch_heads = [_head(path, weights, head, len(dense[1])) for head in heads]
    return PublishedNetwork(
        TrunkLayers(SEQUENCE_LENGTH, tuple(blocks), *dense, gelu_slope=GELU_SLOPE),
        cell_head,
        batch_heads[0] if batch_heads else None,
        sum(a.size for arrays in weights.values() for name, a in arrays.items() if not name.startswith("moving_")),
        keras_version,
    )


def _layers_in_order(path: Path, weights: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the names of the layers of each kind, by their number.

    The numbers need not start at 0: Keras continues to count when several models are made in one process.
    """
    numbered: dict[str, list[tuple[int, str]]] = {kind: [] for kind in _LAYER_COUNTS}
    for name in weights:
        kind, _, number = name.rpartition("_") if re.search(r"_\d+$", name) else (name, "", "0")
        if kind not in numbered:
            raise InputError(f"{path}: the published network has no layer {name!r}, only layers {', '.join(_LAYER_COUNTS)}.")
        numbered[kind].append((int(number), name))
    layers = {kind: [name for _, name in sorted(pairs)] for kind, pairs in numbered.items()}
    for kind, names in layers.items():
        if len(names) not in _LAYER_COUNTS[kind]:
            expected = " or ".join(map(str, _LAYER_COUNTS[kind]))
            raise InputError(f"{path}: expected {expected} layers {kind}, found {len(names)} ({', '.join(names) or 'none'}).")
    return layers


def _folded(path: Path, weights: Weights, layer: str, shape: tuple[int | None, ...], norm: str) -> tuple[Array, Array]:
    """Return kernel and bias of a layer, with the batch normalisation after it folded in."""
    (kernel,) = _arrays(path, weights, layer, {"kernel": shape})
    statistics = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (kernel.shape[-1],))
    gamma, beta, mean, variance = _arrays(path, weights, norm, statistics)
    if (variance < 0).any():
        raise InputError(f"{path}: {norm}/moving_variance has the value {variance.min():g}; a variance cannot be negative.")
    return fold_batch_normalisation(kernel, gamma, beta, mean, variance)


def _head(path: Path, weights: Weights, layer: str, embedding_size: int) -> tuple[Array, Array]:
    kernel, bias = _arrays(path, weights, layer, {"kernel": (embedding_size, None), "bias": (None,)})
    if kernel.shape[1] != len(bias):
        raise InputError(f"{path}: {layer}/kernel has {kernel.shape[1]:,} outputs, {layer}/bias {len(bias):,}.")
    return kernel, bias


def _arrays(path: Path, weights: Weights, layer: str, shapes: Mapping[str, tuple[int | None, ...]]) -> list[Array]:
    """Return the arrays of a layer, and check their names and shapes; None stands for any size."""
    arrays = weights[layer]
    if set(arrays) != set(shapes):
        raise InputError(f"{path}: {layer} has the weights {', '.join(sorted(arrays))}; expected {', '.join(sorted(shapes))}.")
    for name, expected in shapes.items():
        shape = arrays[name].shape
        if len(shape) != len(expected) or any(size not in (None, n) for size, n in zip(expected, shape, strict=True)):
            sizes = ", ".join("any" if size is None else str(size) for size in expected)
            raise InputError(f"{path}: {layer}/{name} has shape {shape}; expected ({sizes}).")
    return [arrays[name] for name in shapes]
