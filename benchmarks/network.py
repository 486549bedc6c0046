"""A trunk of the published network's size with random weights, in the form that the exporter writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from scbasset_zoo.graph.layers import Block, TrunkLayers
from scbasset_zoo.graph.model_building import build_trunk, with_head

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


def write_random_package(folder: Path, n_cells: int, seed: int = 0) -> None:
    """Write a package of :func:`random_trunk` with random cells in four groups."""
    # Imported here: benchmarks.gpu needs the trunk alone, and runs where these are missing.
    import pandas as pd

    from scbasset_zoo.package.writing import write_package

    rng = np.random.default_rng(seed + 1)
    embedding = (rng.normal(size=(EMBEDDING_SIZE, n_cells)) * 0.5).astype(np.float32)
    intercept = rng.normal(size=n_cells).astype(np.float32)
    cells = pd.DataFrame(
        {"group": np.array(["a", "b", "c", "d"])[np.arange(n_cells) % 4]}, index=[f"cell-{i}" for i in range(n_cells)]
    )
    peaks = pd.DataFrame({"chrom": ["chr1"], "start": [5_000], "end": [5_500], "split": ["train"]})
    citation = [{"text": "Yuan and Kelley, Nature Methods 2022", "doi": "10.1038/s41592-022-01562-8"}]
    card = {
        "id": "benchmarks/random",
        "version": "1.0.0",
        "description": "The published network's size with random weights.",
        "authors": [{"name": "The benchmarks of scbasset_zoo"}],
        "license": "CC0-1.0",
        "citation": citation,
        "data": {"description": "None; the weights are random.", "license": "CC0-1.0", "citation": citation},
        "architecture": {"name": "scBasset"},
        "genome": {"assembly": "random1", "naming": "ucsc", "chromosome_sizes": {"chr1": 20_000}},
        "cells": {"columns": {"group": "a group of cells"}, "default_group": "group"},
        "intended_use": "Benchmarks.",
        "limits": "Predicts nothing.",
    }
    write_package(folder, card=card, model=with_head(random_trunk(seed), embedding, intercept), cells=cells, peaks=peaks)
