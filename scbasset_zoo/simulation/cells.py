"""Simulated cells along a lineage: types, transcription factor activities, depth and batches."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.simulation.lineage import BATCH_TF, CONSENSUS, LINEAGE

DEPTH_SPREAD = 0.4  # standard deviation of log depth


BATCH_DEPTH = 0.6  # log depth of the last batch less that of the first


BATCH_ACTIVITY = 1.5  # activity of the stress factor in the last batch; 0 in the first


PROGRESS_SPREAD = 0.4  # cells lie at 0.6 .. 1.4 of the way from their type's parent to their type


ACTIVITY_SPREAD = 0.1  # of a cell's own variation of each active TF


def draw_cells(
    n_cells: int, n_types: int, n_batches: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, NDArray[np.float32], pd.DataFrame]:
    """Cells with type, batch, depth and progress; their TF activities; the TF activities of their types."""
    types = list(LINEAGE)[:n_types]
    parents = [types.index(LINEAGE[name][0] or name) for name in types]
    own = np.zeros((n_types, len(CONSENSUS)), dtype=np.float32)
    for number, name in enumerate(types):
        own[number] = own[parents[number]] + np.array([LINEAGE[name][1].get(tf, 0) for tf in CONSENSUS], dtype=np.float32)
    own[np.abs(own) < 1e-6] = 0
    change = own - own[parents]

    type_of = rng.permutation(np.arange(n_cells) % n_types)
    way = rng.uniform(1 - PROGRESS_SPREAD, 1 + PROGRESS_SPREAD, n_cells).astype(np.float32)
    activities = own[type_of] + (way - 1)[:, None] * change[type_of]
    active = (own != 0).any(axis=0)
    activities[:, active] += ACTIVITY_SPREAD * rng.standard_normal((n_cells, active.sum()), dtype=np.float32)
    log_depth = DEPTH_SPREAD * rng.standard_normal(n_cells, dtype=np.float32)
    cells = pd.DataFrame({"cell_type": pd.Categorical.from_codes(type_of, pd.Index(types))})
    cells.index = pd.Index([f"cell{number:0{len(str(n_cells))}d}" for number in range(1, n_cells + 1)], name="barcode")
    if n_batches:
        batch_of = rng.permutation(np.arange(n_cells) % n_batches)
        share = np.linspace(0, 1, n_batches, dtype=np.float32)[batch_of]
        activities[:, list(CONSENSUS).index(BATCH_TF)] = BATCH_ACTIVITY * share
        log_depth += BATCH_DEPTH * (share - np.float32(0.5))
        names = pd.Index([f"batch{number}" for number in range(1, n_batches + 1)])
        cells["batch"] = pd.Categorical.from_codes(batch_of, names)
    cells["depth"] = np.exp(log_depth)
    cells["progress"] = way
    index = pd.Index(types, name="cell_type")
    return cells, activities, pd.DataFrame(own, index=index, columns=list(CONSENSUS))
