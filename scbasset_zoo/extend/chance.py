"""What a score would be by chance: its values after labels, batches and RNA of the cells are exchanged at random."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import numpy as np

from scbasset_zoo.extend.embedding import MOST_CELLS, EmbeddedCells

N_PERMUTATIONS = 20
N_DEVIATIONS = 3
AT_CHANCE = f"within {N_DEVIATIONS} standard deviations of chance"


class Chance(NamedTuple):
    """The mean and the standard deviation of a score over permutations; NaN if the score has no chance value."""

    mean: float
    deviation: float

    def covers(self, score: float) -> bool:
        """Return whether a score is within three standard deviations of the mean; False if either is NaN."""
        return bool(abs(score - self.mean) <= N_DEVIATIONS * self.deviation + 1e-12)


NO_CHANCE = Chance(np.nan, np.nan)


def chance_of(
    score: Callable[[EmbeddedCells], Mapping[str, float]],
    cells: EmbeddedCells,
    exchanged: Collection[str],
    *,
    most_cells: int = MOST_CELLS,
    n_permutations: int = N_PERMUTATIONS,
) -> dict[str, Chance]:
    """Compute scores again after labels, batches or RNA moved to other cells at random.

    Neighbours are not searched again, since no cell changes its position.

    Parameters
    ----------
    score : function of cells
        Returns scores by name. If it returns none, no further permutation is scored.
    cells : EmbeddedCells
    exchanged : collection of "labels", "batches", "rna"
        What moves to other cells. If there are several, they move together.
    most_cells : int
        Score that many of the sampled cells, if there are more. Fewer cells give a larger deviation.
    n_permutations : int
        Two or more.

    Returns
    -------
    dict of str to Chance
        A score that is not a number in all permutations is left out.
    """
    values: dict[str, list[float]] = {}
    for number in range(n_permutations):
        scores = score(cells.permuted(exchanged, seed=number, most_cells=most_cells))
        if not scores:
            return {}
        for name, value in scores.items():
            values.setdefault(name, []).append(float(value))
    return {
        name: Chance(float(np.mean(of_score)), float(np.std(of_score, ddof=1)))
        for name, of_score in values.items()
        if len(of_score) == n_permutations and np.isfinite(of_score).all()
    }
