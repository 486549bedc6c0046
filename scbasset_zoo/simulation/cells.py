"""Draw cells of a lineage: their types, transcription factor activities, depth and batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.simulation.lineage import BATCH_TF, CONSENSUS, LINEAGE

DEPTH_SPREAD = 0.4  # standard deviation of log depth
BATCH_DEPTH = 0.6  # log depth of the last batch minus that of the first
BATCH_ACTIVITY = 1.5  # activity of the stress factor in the last batch; it is 0 in the first
PROGRESS_SPREAD = 0.4  # cells lie at 0.6 to 1.4 of the way from the parent type to their type
ACTIVITY_SPREAD = 0.1  # standard deviation, between cells, of the activity of each active TF


@dataclass(frozen=True)
class SimulatedCells:
    """Cells, and how active each TF is in them.

    Attributes
    ----------
    obs : DataFrame
        cell_type, batch (if any), depth and progress of each cell, indexed by barcode.
    activities : float32 (n_cells, n_tfs)
        TF activity of each cell, in logits per unit of motif strength.
    type_activities : DataFrame (n_types, n_tfs)
        TF activity of each cell type.
    """

    obs: pd.DataFrame
    activities: NDArray[np.float32]
    type_activities: pd.DataFrame

    @property
    def depth(self) -> NDArray[np.float32]:
        """Factor on the odds that peaks are open, (n_cells,)."""
        depth: NDArray[np.float32] = self.obs["depth"].to_numpy()
        return depth


def draw_cells(n_cells: int, n_types: int, n_batches: int, rng: np.random.Generator) -> SimulatedCells:
    """Draw cells of the first `n_types` types of the lineage, in equal shares, spread at random over the batches."""
    types = list(LINEAGE)[:n_types]
    type_activity, change = _type_activities(types)
    type_of = rng.permutation(np.arange(n_cells) % n_types)
    progress = rng.uniform(1 - PROGRESS_SPREAD, 1 + PROGRESS_SPREAD, n_cells).astype(np.float32)
    activities = type_activity[type_of] + (progress - 1)[:, None] * change[type_of]
    active = (type_activity != 0).any(axis=0)
    activities[:, active] += ACTIVITY_SPREAD * rng.standard_normal((n_cells, active.sum()), dtype=np.float32)
    log_depth = DEPTH_SPREAD * rng.standard_normal(n_cells, dtype=np.float32)
    obs = pd.DataFrame({"cell_type": pd.Categorical.from_codes(type_of, pd.Index(types))})
    obs.index = pd.Index([f"cell{number:0{len(str(n_cells))}d}" for number in range(1, n_cells + 1)], name="barcode")
    if n_batches:
        batch_of = rng.permutation(np.arange(n_cells) % n_batches)
        share = np.linspace(0, 1, n_batches, dtype=np.float32)[batch_of]
        activities[:, list(CONSENSUS).index(BATCH_TF)] = BATCH_ACTIVITY * share
        log_depth += BATCH_DEPTH * (share - np.float32(0.5))
        names = pd.Index([f"batch{number}" for number in range(1, n_batches + 1)])
        obs["batch"] = pd.Categorical.from_codes(batch_of, names)
    obs["depth"] = np.exp(log_depth)
    obs["progress"] = progress
    type_activities = pd.DataFrame(type_activity, index=pd.Index(types, name="cell_type"), columns=list(CONSENSUS))
    return SimulatedCells(obs, activities, type_activities)


def _type_activities(types: list[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the TF activities of each type, and how they differ from those of the parent type; both (n_types, n_tfs)."""
    parents = [types.index(LINEAGE[name][0] or name) for name in types]
    activity = np.zeros((len(types), len(CONSENSUS)), dtype=np.float32)
    for row, name in enumerate(types):
        change = np.array([LINEAGE[name][1].get(tf, 0) for tf in CONSENSUS], dtype=np.float32)
        activity[row] = activity[parents[row]] + change
    activity[np.abs(activity) < 1e-6] = 0
    return activity, activity - activity[parents]
