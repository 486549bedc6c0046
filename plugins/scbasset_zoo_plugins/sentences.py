"""Sentences about scores, for the reports of several analyses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

CHANCE, CHANCE_SD = "chance", "chance_sd"
N_SD = 3
SMALL = 0.005


def score_of(table: pd.DataFrame, metric: str, column: str) -> float | None:
    """Return a score of a table with a row for each metric; None if it is not there or undefined."""
    if metric not in table.index or column not in table:
        return None
    score = float(table[column].to_numpy(float)[table.index.get_loc(metric)])
    return None if np.isnan(score) else score


def beside_chance(table: pd.DataFrame, metric: str, column: str, chance_column: str = CHANCE, permuted: str = "labels") -> str:
    """Return what a score is for permuted labels or cells, as the end of a sentence; "" if the table does not have it."""
    score, chance, deviation = (score_of(table, metric, name) for name in (column, chance_column, CHANCE_SD))
    if score is None or chance is None:
        return ""
    by_chance = f"{chance:.3f}" + (f" ± {deviation:.3f}" if deviation is not None else "")
    if deviation is not None and score <= chance + N_SD * deviation:
        return f", which is no better than with permuted {permuted} ({by_chance})"
    return f" ({by_chance} with permuted {permuted})"


def warnings_in(recorded: Mapping[str, Any]) -> list[str]:
    """Return the warnings that an analysis recorded with its result."""
    return [str(warning) for warning in recorded.get("warnings", [])]


def change(before: float, after: float) -> str:
    """Return how a score changed, such as "rose from 0.210 to 0.350"."""
    verb = "stayed" if abs(after - before) < SMALL else "rose" if after > before else "fell"
    return f"stayed at {after:.3f}" if verb == "stayed" else f"{verb} from {before:.3f} to {after:.3f}"
