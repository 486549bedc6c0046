"""Shuffled sequences, whose effects show what the bases of any sequence do to the model's logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.parts import Range
from scbasset_zoo.extend.sequences import Windows
from scbasset_zoo_plugins.ism.inputs import IsmInputs
from scbasset_zoo_plugins.ism.scores import importance, largest_stretch, normalised_scores

if TYPE_CHECKING:
    import xarray as xr

    from scbasset_zoo import Model
    from scbasset_zoo.extend.parts import Arrays

Array = NDArray[np.float32]


def score_controls(model: Model, inputs: IsmInputs, seed: int, part: Range) -> Arrays:
    """Mutate some of the shuffled regions.

    Parameters
    ----------
    model : Model
    inputs : IsmInputs
    seed : int
    part : Range
        Numbers of the shuffled regions.

    Returns
    -------
    mapping of str to array
        `squares`, float64 (n, columns): sums of the squared importance over bases. `stretches`, float32 (n, columns): the largest
        absolute sums of importance over 10 bp. `n_bases`, integers (n,): bases other than N.
    """
    codes = shuffled_regions(inputs.windows, part, seed)
    squares, stretches = [], []
    for block, scores in normalised_scores(model, codes, inputs.projection):
        for sequence, values in zip(codes[block], scores, strict=True):
            of_bases = importance(values, sequence)
            squares.append(np.square(of_bases, dtype=np.float64).sum(axis=0))
            stretches.append(largest_stretch(of_bases))
    return {"squares": np.stack(squares), "stretches": np.stack(stretches), "n_bases": (codes < dna.N).sum(axis=1)}


def compare_with_controls(
    inputs: IsmInputs, stretches: Array, controls: list[Arrays]
) -> dict[str, tuple[tuple[str, ...], NDArray[np.floating]]]:
    """Compare the regions with shuffled regions.

    Parameters
    ----------
    inputs : IsmInputs
    stretches : float32 (n_regions, columns)
        The largest absolute sum of importance over 10 bp of each region.
    controls : list of mappings
        What :func:`score_controls` returned for all shuffled regions, in their order.

    Returns
    -------
    dict
        Variables of the result: `random_spread` is the root mean square of importance over the bases of the shuffled sequences,
        for each column. `random_p` is p of the one-sided rank-sum test (Mann-Whitney U) that the largest sums over 10 bp are
        larger in the regions than in the shuffled sequences. `random_p_overall` is p of that test for the largest sum over all
        columns, in units of the spread.
    """
    squares, stretches_of_controls, n_bases = (
        np.concatenate([arrays[name] for arrays in controls]) for name in ("squares", "stretches", "n_bases")
    )
    spread = np.sqrt(squares.sum(axis=0) / max(1, n_bases.sum()))
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


def shuffled_regions(windows: Windows, part: Range, seed: int) -> dna.Codes:
    """Return some of the shuffled regions, by their numbers: codes (n, length).

    The regions are shuffled in turn, with their dinucleotides kept. Each shuffle is seeded by its number.
    """
    shuffled = []
    for number in range(part.first, part.last):
        region, rng = number % len(windows), np.random.default_rng([seed, len(windows), number])
        shuffled.append(dna.shuffle(windows.read(region, region + 1)[0], rng))
    return np.concatenate(shuffled)


def _larger(values: Array, controls: Array) -> NDArray[np.float64]:
    """Return p of the one-sided rank-sum test for each column; 1 for a column whose values are all equal."""
    p = np.ones(values.shape[1])
    varies = np.ptp(np.concatenate([values, controls]), axis=0) > 0
    # Column by column, since ties in one would change how p of all is computed.
    for column in np.flatnonzero(varies):
        p[column] = stats.mannwhitneyu(values[:, column], controls[:, column], alternative="greater").pvalue
    return p
