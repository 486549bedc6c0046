"""The two ways to leave the depth of cells out of the logits, and how far denoised values still follow it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.extend.space import Space, depth_in
from scbasset_zoo_plugins.denoise.comparison import compared_cells, draw, open_peaks
from scbasset_zoo_plugins.denoise.denoised import Denoised
from scbasset_zoo_plugins.denoise.inputs import DenoiseInputs, DenoiseOptions

if TYPE_CHECKING:
    from scbasset_zoo import Model

Array = NDArray[np.float32]
CORRELATION, CHANGE = "correlation with depth", "change with depth"
N_OPEN_PEAKS = "n_open_peaks"
# Means of logits that are 0 but for rounding follow nothing.
_ROUNDING = 1e-5


def without_depth(model: Model, peak_embedding: Array, depth: Space, is_probability: bool) -> Denoised:
    """Return accessibility without the depth of each cell.

    Canonical logits are those less the cell's depth, its mean over the training peaks: ``(e - m) W``, where m is the mean peak
    embedding. Their probabilities are those of cells that all have the mean depth. Published logits are those without the
    intercept, ``e W``, and their probabilities the sigmoid of these, as Yuan & Kelley (2022) compute them.
    """
    if depth == "published":
        return Denoised(model.cell_embedding, peak_embedding, is_probability)
    assert model.gauge is not None
    centred = peak_embedding - model.gauge.mean.astype(np.float32)
    return Denoised(model.cell_embedding, centred, is_probability, level=float(model.depth.mean(dtype=np.float64)))


def all_ways(model: Model, peak_embedding: Array, is_probability: bool) -> dict[Space, Denoised]:
    """Return accessibility without depth in each way that the model allows."""
    ways: tuple[Space, ...] = ("published",) if model.gauge is None else ("canonical", "published")
    return {way: without_depth(model, peak_embedding, way, is_probability) for way in ways}


def depth_of_means(
    model: Model,
    inputs: DenoiseInputs,
    ways: Mapping[Space, Denoised],
    options: DenoiseOptions,
    scores: Mapping[str, Mapping[str, float]],
) -> pd.DataFrame:
    """Measure how far the mean over peaks of a cell follows its depth, for the counts and for each way to leave depth out.

    Depth is the logarithm of the number of open peaks, in the counts or else in the column n_open_peaks of the cells. If neither is
    known, it is the depth of the model.

    Parameters
    ----------
    model : Model
    inputs : DenoiseInputs
    ways : mapping of str to Denoised
    options : DenoiseOptions
    scores : mapping
        Agreement with groups, as :func:`scbasset_zoo_plugins.denoise.comparison.add_metrics` returns it: more columns.

    Returns
    -------
    DataFrame
        A row for the counts, if there are any, and for each way. The correlation is Pearson's over cells; the change is that of
        the mean, on a line, if the depth rises by one standard deviation. Both are 0 if all cells have the same mean.
    """
    cells = draw(compared_cells(inputs, ways[inputs.depth]), options.max_cells, np.random.default_rng(options.seed))
    means = {str(way): matrix.means(cells) for way, matrix in ways.items()}
    n_open = _n_open_peaks(model, inputs, cells)
    if inputs.counts is not None:
        means = {"counts": n_open / len(inputs.windows), **means}
    if np.isfinite(n_open).all():
        compared = n_open > 0
        depth = np.log(np.where(compared, n_open, 1))
    else:
        compared = np.ones(len(cells), dtype=bool)
        depth = depth_in(model, "published" if model.gauge is None else "canonical")[cells].astype(np.float64)
    rows = {}
    for name, values in means.items():
        correlation = _correlation(values[compared], depth[compared])
        side = "denoised" if name == inputs.depth else name
        rows[name] = {
            CORRELATION: correlation,
            CHANGE: correlation * float(values[compared].std()),
            "n_cells": int(compared.sum()),
            **{metric: of_sides[side] for metric, of_sides in scores.items()},
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("depth")


def _n_open_peaks(model: Model, inputs: DenoiseInputs, cells: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the number of open peaks of each of some cells; NaN if it is not known."""
    if inputs.counts is not None:
        return np.asarray(open_peaks(inputs.counts.read(cells)).sum(axis=1), dtype=np.float64).ravel()
    if N_OPEN_PEAKS in model.cells and pd.api.types.is_numeric_dtype(model.cells[N_OPEN_PEAKS]):
        return model.cells[N_OPEN_PEAKS].to_numpy(np.float64)[cells]
    return np.full(len(cells), np.nan)


def _correlation(means: NDArray[np.float64], depth: NDArray[np.float64]) -> float:
    """Return Pearson's correlation; 0 if the means are the same but for rounding, NaN if all depths are or for two cells."""
    if len(depth) < 3 or np.ptp(depth) == 0:
        return np.nan
    return 0.0 if means.std() <= _ROUNDING else float(np.corrcoef(means, depth)[0, 1])
