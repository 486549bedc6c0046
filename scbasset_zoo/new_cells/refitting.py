"""Fits cells of a model again, as if they were new, to see how far they land from their trained place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.matrix import MatrixLike, open_matrices
from scbasset_zoo.new_cells.embed_options import EmbedCellsOptions
from scbasset_zoo.new_cells.label_transfer import mean_distances
from scbasset_zoo.new_cells.new_labels import read_new_labels
from scbasset_zoo.new_cells.regression import CellRegression
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    from scbasset_zoo.inputs.genome import Genome
    from scbasset_zoo.runtime.model import Model

MOST_REFITTED = 500


def refit(
    model: Model, matrix: MatrixLike, genome: Genome, ridge: float, options: EmbedCellsOptions, *, quiet: bool
) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Fit a sample of a model's cells again from their own open peaks, and compare them with their trained embedding.

    Returns
    -------
    dict of numbers
        n_cells; distance, the median distance of a cell to its trained place in the canonical space, in logits;
        distance_to_others, the median distance to the trained places of other cells; share_nearest, the share of the cells to
        which their own trained place is the nearest of the sample, and chance_nearest, the same by chance.
    float64 array of shape (n_cells,)
        Mean distance of each to its nearest other cells of the model.

    Raises
    ------
    InputError
        The matrix has none of the model's cells.
    """
    source = open_matrices([matrix], modality=options.modality, layer=options.layer)
    in_model = model.cells.index.get_indexer(source.cells.index)
    if not (in_model >= 0).any():
        raise InputError(
            f"{source.where} has none of the model's cells: it has {source.cells.index[0]!r}, the model {model.cells.index[0]!r}. "
            f"Give {option('training_matrix')} the matrix that the model was trained on."
        )
    labels = read_new_labels(model, source, genome, options, quiet=quiet)
    positions = model.cells.index.get_indexer(labels.cells.index)
    rng = np.random.default_rng(options.seed)
    rows = np.sort(rng.permutation(np.flatnonzero(positions >= 0))[:MOST_REFITTED])
    offset = None
    if model.batches is not None:
        by_cell = model.batches.by_cell[:, positions[rows]].T
        offset = by_cell @ model.batches.embedding.T, by_cell @ model.batches.intercept
    fit = CellRegression(labels.peak_embedding, model.require_gauge()).fit(labels.is_open[rows], ridge, offset=offset)
    refitted = model.canonical_space.embedding(fit.embedding).astype(np.float64)
    trained = model.canonical_embedding[positions[rows]].astype(np.float64)
    square = (refitted**2).sum(axis=1)[:, None] + (trained**2).sum(axis=1) - 2 * refitted @ trained.T
    distance = np.sqrt(np.maximum(square, 0))
    own = np.diag(distance)
    others = distance[~np.eye(len(rows), dtype=bool)]
    numbers = {
        "n_cells": float(len(rows)),
        "distance": float(np.median(own)),
        "distance_to_others": float(np.median(others)) if len(others) else float("nan"),
        "share_nearest": float((own <= distance.min(axis=1)).mean()),
        "chance_nearest": 1 / len(rows),
    }
    distances = mean_distances(
        model.canonical_embedding, refitted.astype(np.float32), options.n_neighbours, without=positions[rows]
    )
    return numbers, distances
