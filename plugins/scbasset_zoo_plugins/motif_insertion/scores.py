"""Inserts motifs into background sequences and scores them in each cell."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.blocks import BLOCK_CELLS, Block
from scbasset_zoo.extend.parts import Range
from scbasset_zoo.extend.space import Space
from scbasset_zoo_plugins.motif_insertion.inputs import MotifInsertionOptions
from scbasset_zoo_plugins.motifs.motif import Motif

if TYPE_CHECKING:
    from scbasset_zoo import Model
    from scbasset_zoo.extend.parts import Arrays

Array = NDArray[np.float32]

BACKGROUNDS_PER_PART = 64


@dataclass(frozen=True)
class Scores:
    """Scores of motifs in cells, of which any part can be computed.

    Attributes
    ----------
    latent : float32 (n_motifs, k)
        Mean change of the peak embedding by each motif.
    n_cells : int
    mean, deviation : float64 (n_motifs,)
        Mean and standard deviation over cells of the raw scores. The deviation is 0 for a motif whose scores differ between cells
        by no more than rounding.
    centred : function of positions of cells and of motifs
        Returns their raw scores less the mean of the motif, (cells, motifs), in a new array.
    """

    latent: Array
    n_cells: int
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    centred: Callable[[Any, Any], Array]

    def z_scores(self, cells: NDArray[np.intp] | slice, motifs: NDArray[np.intp] | slice) -> Array:
        """Return z-scores (cells, motifs) of cells and motifs at these positions; NaN for a motif with a deviation of 0."""
        scores = self.centred(cells, motifs)
        deviation = self.deviation[motifs]
        scores /= np.where(deviation > 0, deviation, np.nan).astype(np.float32)
        return scores

    def blocks(self) -> Iterator[Block]:
        """Compute all z-scores in blocks of cells."""
        for first in range(0, self.n_cells, BLOCK_CELLS):
            rows = slice(first, min(first + BLOCK_CELLS, self.n_cells))
            yield Block(rows, slice(0, len(self.latent)), self.z_scores(rows, slice(None)))


def insert_motifs(
    model: Model,
    motifs: list[Motif],
    backgrounds: dna.Codes,
    options: MotifInsertionOptions,
    space: Space | None,
    part: Range,
) -> Arrays:
    """Insert every motif into some of the backgrounds.

    On the logit scale, a mean over backgrounds is the product with the mean change of the embedding, so only that is kept.
    Probabilities are summed over backgrounds, for some cells and one motif at a time. In the canonical space they are those of
    cells that all have the mean depth; otherwise, as in the paper, the intercept is left out and nothing takes its place.

    Parameters
    ----------
    model : Model
    motifs : list of Motif
    backgrounds : int8 codes (n, length)
        The backgrounds of this part.
    options : MotifInsertionOptions
        Its `instances`, `n_backgrounds`, `both_strands`, `scale` and `seed` are used.
    space : "canonical" or "published", or None
        It matters for probabilities.
    part : Range
        Numbers of the backgrounds among all backgrounds.

    Returns
    -------
    mapping of str to array
        `total`, float64 (n_motifs, k): changes of the peak embedding, summed over backgrounds and strands. `squares`, float64 ():
        the sum of squares of the embeddings without a motif. With the scale of probabilities, `probabilities`, float32
        (n_cells, n_motifs): changes of the probability, summed likewise.
    """
    cells = model.cell_embedding
    total = np.zeros((len(motifs), cells.shape[1]))
    probabilities = np.zeros((len(cells), len(motifs)), np.float32) if options.scale == "probability" else None
    mean, level = np.zeros(cells.shape[1], np.float32), np.float32(0)
    if space == "canonical" and model.gauge is not None:
        mean, level = model.gauge.mean.astype(np.float32), model.depth.mean(dtype=np.float64).astype(np.float32)
    squares = 0.0
    drawn = [instances(motif, options.n_backgrounds, options)[part.first : part.last] for motif in motifs]
    for without, embedded in embedded_insertions(model, drawn, backgrounds, n_strands(options)):
        total += (embedded - without).sum(axis=1, dtype=np.float64)
        squares += np.square(without, dtype=np.float64).sum()
        if probabilities is not None:
            _add_probabilities(probabilities, cells, without - mean, embedded - mean, level)
    arrays = {"total": total, "squares": np.array(squares)}
    return arrays if probabilities is None else {**arrays, "probabilities": probabilities}


def joined_scores(model: Model, sums: Arrays, options: MotifInsertionOptions) -> Scores:
    """Return the scores of motifs in cells.

    Parameters
    ----------
    model : Model
    sums : mapping of str to array
        What :func:`insert_motifs` returned, summed over all backgrounds.
    options : MotifInsertionOptions
    """
    cells, n = model.cell_embedding, options.n_backgrounds * n_strands(options)
    latent = (sums["total"] / n).astype(np.float32)
    rounding = rounding_error(float(sums["squares"]) / n, cells)
    if options.scale == "logit":
        return logit_scores(cells, latent, rounding)
    # The slope of the sigmoid is at most 1/4.
    probabilities: Array = np.divide(sums["probabilities"], n, dtype=np.float32)
    return _probability_scores(latent, probabilities, rounding / 4 + float(np.finfo(np.float32).eps))


def add_sums(sums: dict[str, NDArray[Any]], arrays: Arrays) -> None:
    """Add the arrays of a part to the sums over the parts before it."""
    for name, values in arrays.items():
        sums[name] = sums[name] + values if name in sums else values


def n_strands(options: MotifInsertionOptions) -> int:
    """Return how many strands of each motif are inserted."""
    return 2 if options.both_strands else 1


def instances(motif: Motif, n: int, options: MotifInsertionOptions) -> dna.Codes:
    """Return the sequences to insert, codes (n, width); they do not depend on the other motifs."""
    if options.instances == "consensus":
        return np.tile(motif.consensus, (n, 1))
    return motif.sample(n, np.random.default_rng([options.seed, 1, zlib.crc32(motif.name.encode())]))


def embedded_insertions(
    model: Model, drawn: list[dna.Codes], backgrounds: dna.Codes, n_strands: int
) -> Iterator[tuple[Array, Array]]:
    """Embed backgrounds before and after insertions at their centre, one strand after the other.

    Parameters
    ----------
    model : Model
    drawn : list of int8 codes (n, width)
        The sequences to insert into each background.
    backgrounds : int8 codes (n, length)
    n_strands : 1 or 2
        2 inserts the reverse complements, too.

    Yields
    ------
    float32 array (n, k)
        Peak embeddings of the backgrounds.
    float32 array (len(drawn), n, k)
        Peak embeddings after the insertions.
    """
    n, length = backgrounds.shape
    starts = np.array([(length - codes.shape[1]) // 2 for codes in drawn])
    strands = (lambda codes: codes, dna.reverse_complement)[:n_strands]
    without = model.mutations.embed(backgrounds)
    for strand in strands:
        bases = [dna.decode(codes) for inserted in drawn for codes in strand(inserted)]
        reference = np.tile(np.arange(n), len(drawn))
        embedded = model.mutations.mutate(backgrounds, np.repeat(starts, n), bases, reference=reference, quiet=True)
        yield without, embedded.reshape(len(drawn), n, -1)


def rounding_error(mean_square: float, cells: Array) -> float:
    """Return the rounding error of a logit, from the mean square norm of the peak embeddings.

    A product of cell and peak embedding is at most as large as their norms. Rounding changes it by a few units in the last place.
    """
    return float(4 * np.finfo(np.float32).eps * np.sqrt(mean_square * np.square(cells, dtype=np.float64).sum(axis=1).mean()))


def moments(cells: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean (k,) and the covariance (k, k) of the cell embedding over cells."""
    mean = cells.mean(axis=0, dtype=np.float64)
    blocks = (cells[first : first + BLOCK_CELLS] - mean for first in range(0, len(cells), BLOCK_CELLS))
    return mean, sum(block.T @ block for block in blocks) / len(cells)


def logit_scores(cells: Array, latent: Array, rounding: float) -> Scores:
    """Scores on the logit scale; their mean and deviation over cells follow from the mean and covariance of the cell embedding."""
    directions = latent.astype(np.float64)
    mean, covariance = moments(cells)
    variance = ((directions @ covariance) * directions).sum(axis=1)

    def centred(rows: Any, columns: Any) -> Array:
        return (cells[rows] - mean).astype(np.float32) @ latent[columns].T

    return Scores(latent, len(cells), directions @ mean, _deviation(variance, rounding), centred)


def _probability_scores(latent: Array, probabilities: Array, rounding: float) -> Scores:
    """Scores on the scale of probabilities, from the mean change of the probability in each cell (n_cells, n_motifs)."""
    n_cells = len(probabilities)
    mean = probabilities.mean(axis=0, dtype=np.float64)
    blocks = (probabilities[first : first + BLOCK_CELLS] - mean for first in range(0, n_cells, BLOCK_CELLS))
    variance = sum(np.square(block).sum(axis=0) for block in blocks) / n_cells

    def centred(rows: Any, columns: Any) -> Array:
        scores = probabilities[rows][:, columns]
        return np.subtract(scores, mean[columns], out=np.empty_like(scores), casting="same_kind")

    return Scores(latent, n_cells, mean, _deviation(variance, rounding), centred)


def _add_probabilities(total: Array, cells: Array, without: Array, embedded: Array, level: np.float32) -> None:
    """Add the change of probability by each motif, summed over backgrounds, to `total` (n_cells, n_motifs).

    `level` is added to all logits.
    """
    for first in range(0, len(cells), BLOCK_CELLS):
        rows = slice(first, first + BLOCK_CELLS)
        before = expit(cells[rows] @ without.T + level).sum(axis=1, dtype=np.float64)
        for number, after in enumerate(embedded):
            # In float64, because a small difference of large sums is left.
            total[rows, number] += expit(cells[rows] @ after.T + level).sum(axis=1, dtype=np.float64) - before


def _deviation(variance: NDArray[np.float64], rounding: float) -> NDArray[np.float64]:
    """Return standard deviations; 0 if they are no more than rounding error."""
    deviation = np.sqrt(np.maximum(variance, 0))
    return np.where(deviation > rounding, deviation, 0.0)
