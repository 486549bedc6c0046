"""Tests the effect of each motif against the effects of shuffled motifs, which have the same composition."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.parts import Range, ranges
from scbasset_zoo_plugins.motif_insertion.inputs import MotifInsertionOptions
from scbasset_zoo_plugins.motif_insertion.scores import (
    BACKGROUNDS_PER_PART,
    embedded_insertions,
    instances,
    moments,
    n_strands,
    rounding_error,
)
from scbasset_zoo_plugins.motifs.motif import Motif

if TYPE_CHECKING:
    from scbasset_zoo import Model
    from scbasset_zoo.extend.parts import Arrays

Values = NDArray[np.float64]

SHUFFLED = "backgrounds of shuffled motifs"
MAX_Q = 0.05
MIN_EFFECT = 0.01
"""In logits: a smaller effect changes the odds that a peak is open by less than 1%."""
MIN_BACKGROUNDS = 50


def shuffle_parts(options: MotifInsertionOptions) -> list[Range]:
    """Return the parts of the backgrounds into which shuffled motifs are inserted.

    They are the first 50 backgrounds, or as many as make all shuffles cost no more than the motif itself in all backgrounds.
    """
    if not options.n_shuffles:
        return []
    n = min(options.n_backgrounds, max(MIN_BACKGROUNDS, -(-options.n_backgrounds // options.n_shuffles)))
    return ranges(SHUFFLED, n, max(1, BACKGROUNDS_PER_PART // (1 + options.n_shuffles)))


def insert_shuffled_motifs(
    model: Model, motifs: list[Motif], backgrounds: dna.Codes, options: MotifInsertionOptions, part: Range
) -> Arrays:
    """Insert each motif and its shuffles into some of the backgrounds.

    Parameters
    ----------
    model : Model
    motifs : list of Motif
    backgrounds : int8 codes (n, length)
        The backgrounds of this part.
    options : MotifInsertionOptions
        Its `n_shuffles`, `instances`, `n_backgrounds`, `both_strands` and `seed` are used.
    part : Range
        Numbers of the backgrounds among all backgrounds.

    Returns
    -------
    mapping of str to array
        Sums over backgrounds and strands: `total`, float64 (n_motifs, 1 + n_shuffles, k), of the changes of the peak embedding;
        `squares`, float64 (), of the squared embeddings without a motif; `squared_differences`, float64 (n_motifs, 2), of the
        squared differences between the motif and its shuffles.
    """
    drawn = [
        codes[part.first : part.last, order]
        for motif in motifs
        for codes in [instances(motif, options.n_backgrounds, options)]
        for order in orders_of_positions(motif, options)
    ]
    total = np.zeros((len(motifs), 1 + options.n_shuffles, model.cell_embedding.shape[1]))
    squares, squared_differences, projection = 0.0, np.zeros((len(motifs), 2)), _projection(model.cell_embedding)
    for without, embedded in embedded_insertions(model, drawn, backgrounds, n_strands(options)):
        changes = (embedded - without).reshape(*total.shape[:2], *without.shape).astype(np.float64)
        total += changes.sum(axis=2)
        squares += np.square(without, dtype=np.float64).sum()
        squared_differences += _squares(changes[:, 0] - changes[:, 1:].mean(axis=1), projection).sum(axis=1)
    return {"total": total, "squares": np.array(squares), "squared_differences": squared_differences}


def compare_with_shuffled_motifs(model: Model, sums: Arrays, options: MotifInsertionOptions) -> pd.DataFrame:
    """Test whether each motif changes the logits in another way than motifs with the same positions in another order.

    Parameters
    ----------
    model : Model
    sums : mapping of str to array
        What :func:`insert_shuffled_motifs` returned, summed over the parts of :func:`shuffle_parts`.
    options : MotifInsertionOptions

    Returns
    -------
    DataFrame
        A row for each motif, in their order, with the columns of :func:`shuffle_tests`.
    """
    n = shuffle_parts(options)[-1].last
    n_insertions = n * n_strands(options)
    changes = sums["total"] / n_insertions
    difference = _squares(changes[:, 0] - changes[:, 1:].mean(axis=1), _projection(model.cell_embedding))
    variance = sums["squared_differences"] / n_insertions - difference
    rounding = rounding_error(float(sums["squares"]) / n_insertions, model.cell_embedding)
    return shuffle_tests(changes, model.cell_embedding, rounding, np.maximum(variance, 0) / max(1, n - 1))


def shuffle_tests(
    changes: Values, cells: NDArray[np.float32], rounding: float = 0.0, squared_errors: Values | None = None
) -> pd.DataFrame:
    """Test the changes by motifs against those by their shuffles.

    The mean test is Student's t-test of the motif's mean effect over cells, as one new value beside those of the shuffles. The
    spread test is its form for profiles: the squared distance over cells between the motif's effects and the mean of its
    shuffles, without their means over cells, against the variance of the shuffles. Its statistic is compared with an F
    distribution whose degrees of freedom follow from the covariance of the shuffles (Box 1954; Shen & Faraway 2004). The
    squared standard error over backgrounds takes the place of the variance of the shuffles where it is larger, so that an effect in
    one of many backgrounds does not count.

    Parameters
    ----------
    changes : float64 (n_motifs, 1 + n_shuffles, embedding size)
        Mean changes of the peak embedding, by the motif first and then by its shuffles.
    cells : float32 (n_cells, embedding size)
    rounding : float
        Rounding error of an effect; smaller differences count as none.
    squared_errors : float64 (n_motifs, 2), optional
        Squared standard error, over backgrounds, of the difference between a motif and the mean of its shuffles: of the mean over
        cells, and of the profile.

    Returns
    -------
    DataFrame
        shuffled_mean and shuffled_deviation (mean and standard deviation over shuffles of the mean effect over cells, logit),
        p_mean, p_spread, q (Benjamini and Hochberg's over motifs, of twice the smaller of both p), and responds: whether q is up
        to 0.05 and the motif's effects differ from those of its shuffles by 0.01 or more, as a root mean square over cells.
    """
    means, profiles = np.split(changes @ _projection(cells), [1], axis=2)
    errors = np.zeros((len(changes), 2)) if squared_errors is None else squared_errors
    p_mean, p_spread = _new_value_test(means, rounding, errors[:, 0]), _new_value_test(profiles, rounding, errors[:, 1])
    q = stats.false_discovery_control(np.minimum(2 * np.minimum(p_mean, p_spread), 1))
    difference = np.concatenate([means, profiles], axis=2)
    size = np.linalg.norm(difference[:, 0] - difference[:, 1:].mean(axis=1), axis=1)
    return pd.DataFrame(
        {
            "shuffled_mean": means[:, 1:, 0].mean(axis=1),
            "shuffled_deviation": means[:, 1:, 0].std(axis=1, ddof=1),
            "p_mean": p_mean,
            "p_spread": p_spread,
            "q": q,
            "responds": (q <= MAX_Q) & (size >= MIN_EFFECT),
        }
    )


def is_ignored(var: pd.DataFrame) -> NDArray[np.bool_]:
    """Return for each motif whether it is no different from its shuffles; false for all motifs that were not tested."""
    return ~var["responds"].to_numpy(bool) if "responds" in var else np.zeros(len(var), bool)


def orders_of_positions(motif: Motif, options: MotifInsertionOptions) -> list[NDArray[np.intp]]:
    """Return the order of a motif's positions: its own first, then one for each shuffle. They depend on no other motif."""
    rng = np.random.default_rng([options.seed, 2, zlib.crc32(motif.name.encode())])
    width = len(motif.pwm)
    return [np.arange(width), *(rng.permutation(width) for _ in range(options.n_shuffles))]


def _projection(cells: NDArray[np.float32]) -> Values:
    """Return the matrix (k, 1 + k) that turns changes of the peak embedding into their mean over cells and their profile.

    The profile's squared length is the variance of the change over cells.
    """
    mean, covariance = moments(cells)
    values, vectors = np.linalg.eigh(covariance)
    return np.column_stack([mean, vectors * np.sqrt(np.maximum(values, 0))])


def _squares(changes: Values, projection: Values) -> Values:
    """Return the squares of mean and profile of changes (..., k), as (..., 2)."""
    squares = np.square(changes @ projection)
    return np.stack([squares[..., 0], squares[..., 1:].sum(axis=-1)], axis=-1)


def _new_value_test(values: Values, rounding: float, squared_errors: Values) -> Values:
    """Return p that the first of some vectors (n_motifs, 1 + n, size) is another draw of the distribution of the others."""
    shuffled = values[:, 1:]
    n = shuffled.shape[1]
    residuals = shuffled - shuffled.mean(axis=1, keepdims=True)
    products = residuals @ residuals.transpose(0, 2, 1)
    trace = np.trace(products, axis1=1, axis2=2)
    squares = np.square(products).sum(axis=(1, 2))
    dimensions = np.divide(trace**2, squares, out=np.ones_like(trace), where=squares > 0)
    distance = np.square(values[:, 0] - shuffled.mean(axis=1)).sum(axis=1)
    variance = np.maximum(trace / (n - 1) * (1 + 1 / n), squared_errors)
    variance = np.maximum(variance, max(rounding, np.finfo(np.float64).tiny ** 0.5) ** 2)
    p: Values = stats.f.sf(distance / variance, dimensions, dimensions * (n - 1))
    return p
