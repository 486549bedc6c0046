"""Packages with given cell embeddings, with or without a batch path, and simulated groups of cells."""

from __future__ import annotations

import numpy as np
import pandas as pd

import scbasset_zoo as sz
from helpers import toy
from scbasset_zoo.graph.gauge import Gauge, with_gauge
from scbasset_zoo.graph.head import BatchPath
from scbasset_zoo.graph.model_building import with_head
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.writing import write_package
from scbasset_zoo.runtime.model import Model

SIZE = 8
PENALTY = 1e-6


def embedded_package(
    folder, embedding, cells, *, batch: str | None = None, penalty=PENALTY, gauge: Gauge | None = None, **card
) -> Package:
    """Write a complete package: a toy trunk, and cells with the given embedding of shape (n_cells, 8).

    If `batch` names a column of the cells, the model is batch-corrected. Without `gauge`, the model has none.
    """
    rng = np.random.default_rng(0)
    path = None
    if batch is not None:
        codes, names = pd.factorize(cells[batch], sort=True)
        by_cell = np.eye(len(names), dtype=np.float32)[:, codes]
        path = BatchPath(*(rng.normal(size=size).astype(np.float32) for size in ((SIZE, len(names)), len(names))), by_cell)
        card["batch_correction"] = {"column": batch, "n_batches": len(names), "l2_cell": penalty, "l2_batch": 0.0}
    whole = toy.toy_model(n_cells=1, embedding_size=SIZE)
    trunk = extract_trunk(whole)
    trunk.producer_name, trunk.producer_version = whole.producer_name, whole.producer_version
    intercept = rng.normal(size=len(cells)).astype(np.float32)
    model = with_head(trunk, np.ascontiguousarray(embedding.T, dtype=np.float32), intercept, path)
    if gauge is not None:
        model, card["gauge"] = with_gauge(model, gauge), toy.GAUGE_FIELDS
    return write_package(
        folder,
        card=toy.toy_card(cells={}) | card,
        model=model,
        cells=cells,
        peaks=toy.toy_peaks(),
    )


def groups(n_cells=240, n_types=4, spread=0.5, shift=0.0, seed=0) -> tuple[np.ndarray, pd.DataFrame]:
    """Return embeddings around one point for each cell type. A separate dimension moves the second batch by `shift`."""
    rng = np.random.default_rng(seed)
    types, batches = rng.permutation(np.arange(n_cells) % n_types), rng.permutation(np.arange(n_cells) % 2)
    embedding = 3 * np.eye(SIZE)[types] + rng.normal(0, spread, (n_cells, SIZE))
    embedding[:, SIZE - 1] += shift * batches
    cells = pd.DataFrame(
        {"cell_type": [f"type{i}" for i in types], "batch": [f"b{i}" for i in batches]}, index=[f"cell{i}" for i in range(n_cells)]
    )
    return embedding.astype(np.float32), cells


def distances(points) -> np.ndarray:
    """Return Euclidean distances in float64; infinite from a cell to itself."""
    points = np.asarray(points, dtype=float)
    between = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))
    np.fill_diagonal(between, np.inf)
    return between


def nearest(points, k) -> np.ndarray:
    """Return the positions (n_cells, k) of the k nearest other cells of each cell."""
    return np.argsort(distances(points), axis=1)[:, :k]


def fitted(folder, simulated: dict, trained: dict) -> Model:
    """Return a model that is fitted to simulated cells with strong signal; 400 of them, unless the options say otherwise."""
    data = sz.simulate(
        folder / "data", quiet=True, **{"n_cells": 400, "n_peaks": 4_000, "density": 0.15, "signal": 1.5, **simulated}
    )
    sz.prepare(data.matrix, genome=data.genome, assembly="simulated", out=folder / "prepared")
    sz.train(folder / "prepared", out=folder / "run", **{"width": 0.25, "epochs": 24, "batch_size": 32, **trained})
    about = {name: value for name, value in toy.toy_card().items() if name not in ("architecture", "genome", "cells")}
    sz.export(folder / "run", out=folder / "model", about=about)
    return sz.open_model(folder / "model", device="cpu")
