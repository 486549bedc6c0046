"""Normalised scores of in silico saturation mutagenesis, and the importance of the reference base."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.extend import sequences as dna

if TYPE_CHECKING:
    from scbasset_zoo import Model

Array = NDArray[np.float32]

STRETCH = 10  # bp, about the width of a motif


def normalised_scores(model: Model, codes: dna.Codes, projection: Array | None) -> Iterator[tuple[slice, list[Array]]]:
    """Compute normalised ISM scores, a few sequences at a time.

    Parameters
    ----------
    model : Model
    codes : int8 codes (n, length)
        Reference sequences.
    projection : float32 (embedding_size, columns), optional
        Mean embeddings of groups, or embeddings of cells. Without it, scores are latent: changes of the peak embedding.

    Yields
    ------
    slice
        The sequences, as positions in `codes`.
    list of float32 arrays (length, 4, columns)
        Their scores. The four scores of a position sum to zero.
    """
    for block, changes in model.mutations.saturation_mutagenesis_blocks(codes, quiet=True):
        changes -= changes.mean(axis=2, keepdims=True)
        yield block, [change if projection is None else change @ projection for change in changes]


def importance(scores: Array, codes: dna.Codes) -> Array:
    """Return the normalised score of the reference base, (length, columns); 0 at an N."""
    is_base = codes < dna.N
    values: Array = np.zeros((len(codes), scores.shape[2]), np.float32)
    values[is_base] = scores[is_base, codes[is_base]]
    return values


def largest_stretch(importance_of_bases: Array) -> Array:
    """Return the largest absolute sum of importance over 10 adjacent bases, (columns,), from importance (length, columns)."""
    sums = np.pad(importance_of_bases.cumsum(axis=0, dtype=np.float64), ((1, 0), (0, 0)))
    width = min(STRETCH, len(importance_of_bases))
    largest: Array = np.abs(sums[width:] - sums[:-width]).max(axis=0).astype(np.float32)
    return largest
