"""Shuffled sequences, whose effects show what the bases of any sequence do to the model's logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.analysis import Context
from scbasset_zoo.extend.sequences import Windows, sequence_windows
from scbasset_zoo_plugins.ism.inputs import IsmInputs
from scbasset_zoo_plugins.ism.scores import importance, largest_stretch, normalised_scores

if TYPE_CHECKING:
    import xarray as xr

    from scbasset_zoo import Model

Array = NDArray[np.float32]


def compare_with_controls(
    model: Model, inputs: IsmInputs, n: int, seed: int, stretches: Array, context: Context
) -> dict[str, tuple[tuple[str, ...], NDArray[np.floating]]]:
    """Mutate shuffled regions, and compare the regions with them.

    Parameters
    ----------
    model : Model
    inputs : IsmInputs
    n : int
        Number of shuffled sequences. The regions are shuffled in turn, with their dinucleotides kept.
    seed : int
    stretches : float32 (n_regions, columns)
        The largest absolute sum of importance over 10 bp of each region.
    context : Context
        Shows progress.

    Returns
    -------
    dict
        Variables of the result: `random_spread` is the root mean square of importance over the bases of the shuffled sequences,
        for each column. `random_p` is p of the one-sided rank-sum test (Mann-Whitney U) that the largest sums over 10 bp are
        larger in the regions than in the shuffled sequences. `random_p_overall` is p of that test for the largest sum over all
        columns, in units of the spread.
    """
    codes = shuffled_regions(inputs.windows, n, seed)
    squares, stretches_of_controls = np.zeros(len(inputs.columns)), np.empty((n, len(inputs.columns)), np.float32)
    with context.progress("mutating shuffled regions", n) as advance:
        for part, batch, scores in normalised_scores(model, sequence_windows(codes, codes.shape[1]), inputs.projection):
            for number, sequence, values in zip(range(part.start, part.stop), batch, scores, strict=True):
                of_bases = importance(values, sequence)
                squares += np.square(of_bases, dtype=np.float64).sum(axis=0)
                stretches_of_controls[number] = largest_stretch(of_bases)
            advance(len(batch))
    spread = np.sqrt(squares / max(1, (codes < dna.N).sum()))
    scale = np.where(spread > 0, spread, 1)
    overall = _larger(*((values / scale).max(axis=1, keepdims=True) for values in (stretches, stretches_of_controls)))
    return {
        "random_spread": ((inputs.dimension,), spread.astype(np.float32)),
        "random_p": ((inputs.dimension,), _larger(stretches, stretches_of_controls)),
        "random_p_overall": ((), overall[0]),
    }


def in_spreads(result: xr.Dataset) -> NDArray[np.floating]:
    """Return the largest importance of each region in units of the spread, (n_regions, columns); NaN where the spread is 0."""
    largest, spread = result["largest_importance"].to_numpy(), result["random_spread"].to_numpy()
    return largest / np.where(spread > 0, spread, np.nan)


def shuffled_regions(windows: Windows, n: int, seed: int) -> dna.Codes:
    """Return n regions, in turn, that are shuffled with their dinucleotides kept: codes (n, length)."""
    rng = np.random.default_rng([seed, len(windows), n])
    regions = [number % len(windows) for number in range(n)]
    return np.concatenate([dna.shuffle(windows.read(region, region + 1)[0], rng) for region in regions])


def _larger(values: Array, controls: Array) -> NDArray[np.float64]:
    """Return p of the one-sided rank-sum test for each column; 1 for a column whose values are all equal."""
    p = np.ones(values.shape[1])
    varies = np.ptp(np.concatenate([values, controls]), axis=0) > 0
    # Column by column, since ties in one would change how p of all is computed.
    for column in np.flatnonzero(varies):
        p[column] = stats.mannwhitneyu(values[:, column], controls[:, column], alternative="greater").pvalue
    return p
